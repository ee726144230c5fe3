/**
 * Who waits for ends of jobs. Workers end jobs all the time and few processes wait for that, but
 * NOTIFY takes a lock of the whole database and wakes every process that listens: with eight worker
 * processes it took a seventh of the machine. So a process that waits says so in the table
 * `end_waits`, and the message that jobs have ended is sent while somebody does.
 *
 * Modes: silent → said, when the first wait begins, and again each `againMs` while any is there. What
 * was said holds for longer, so that waits one after the other say it once. A message that comes
 * between the start of a wait and its row is lost: so the wait looks once more when the row is there.
 */
import type { Database } from './database.ts'
import { clearTimeout, setTimeout } from '../../core/timers.ts'

const againMs = 10_000
/** What was said holds for so long after a process has ended without a word. */
const holdsMs = 30_000

/**
 * `wait_for_ends` writes the row of a process, by its primary key, and removes those of processes
 * that are gone; it waits for no disk. Times are the server's own, since processes wait and not
 * jobs.
 */
export const endWaitFunctions: string = `
CREATE FUNCTION errand.wait_for_ends(p_process text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  INSERT INTO errand.end_waits (process, until)
  VALUES (p_process, clock_timestamp() + ${holdsMs} * interval '1 ms')
  ON CONFLICT (process) DO UPDATE SET until = excluded.until;
  DELETE FROM errand.end_waits WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM errand.end_waits WHERE until < clock_timestamp() FOR UPDATE SKIP LOCKED));
END $$;
`

const WAIT = `SELECT errand.wait_for_ends($1)`

/** Sends a message on a channel if somebody waits for ends: reads the few rows of `end_waits`. */
export const TELL_ENDS: string = `SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)
  FROM (SELECT 1 FROM errand.end_waits WHERE until > clock_timestamp() LIMIT 1) waited`

export class EndWaits {
  readonly #db: Database
  #count = 0
  #again: NodeJS.Timeout | null = null

  constructor(db: Database) {
    this.#db = db
  }

  /** A wait begins; returns what ends it. */
  begin(): () => void {
    this.#count += 1
    if (this.#again === null) this.#say()
    let isOver = false
    return () => {
      if (!isOver) this.#count -= 1
      isOver = true
    }
  }

  stop(): void {
    if (this.#again !== null) clearTimeout(this.#again)
    this.#count = 0
  }

  /** What fails is said again; until then waits go by their slow timer. */
  #say(): void {
    this.#again = setTimeout(() => {
      this.#again = null
      if (this.#count > 0) this.#say()
    }, againMs)
    this.#again.unref()
    this.#db.write(WAIT, [this.#db.hints.self]).then(
      () => this.#db.hints.hear('finished'),
      () => {},
    )
  }
}
