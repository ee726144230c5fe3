/**
 * What functions that programs call are run with. Their statements are planned once for a connection: planned anew for each call,
 * by the length of its arrays, a single insert takes twice as long.
 *
 * Such a plan must hold whatever the planner believed when it made it. It believes that a table which was vacuumed while it was empty stays
 * so, and then reads all of it for each row that it joins, though millions have come since. So it is left no choice but to look
 * rows up in indexes, one after the other, which is how every statement here is meant. What it may still choose is which of two tables it
 * begins with, and whether it reads all of an index to find a minimum or whether anything is there: so those who must begin come
 * before a `LATERAL` that is not flattened, and such questions are asked with `LIMIT 1`.
 *
 * Functions and operators of the server are found in its own schema only, whatever the session's path says: a schema on that path in
 * which others may create things could hold one of the same name.
 */
export const planned = `SET plan_cache_mode = force_generic_plan SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off
  SET enable_hashjoin = off SET enable_mergejoin = off SET search_path = pg_catalog, pg_temp`

/**
 * How long a call waits for a row before it takes it as held by a transaction of a user, in ms. It holds rows itself meanwhile, and others
 * wait for these: calls that go on without the row wait for `patienceMs`, those that must be sent again for `callPatienceMs`.
 */
export const patienceMs = 100
export const callPatienceMs = 250

/** How long a call that holds nothing which others wait for, and whoever sends a call again, wait for a row that is held, in ms. */
export const heldMs = 4_000

/** How long the parts of a call that is carried out apart wait so, all of them together, in ms. */
export const apartPatienceMs = 50
