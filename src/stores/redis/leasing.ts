/** How scripts put jobs under leases of the worker that calls. */

export const leasingLua: string = String.raw`
local worker, leaseMs

-- Leases one job out of wherever it waits: a suspect as started, an overdue one as not.
local function leaseWaiting(r, state, flags, startedAt)
  stepOut(r, state)
  unbind(r)
  save(r)
  writeLease(r.id, {
    token = newToken(), untilAt = now + leaseMs, startedAt = startedAt, flags = flags, worker = worker, reason = '',
  })
  moved(r.queue, state, RUNNING)
  rekey(r, RUNNING)
end
`
