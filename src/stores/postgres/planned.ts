/**
 * What functions that programs call are run with. Their statements are planned once for a connection: planned anew for each call,
 * by the length of its arrays, a single insert takes twice as long.
 */
export const planned = `SET plan_cache_mode = force_generic_plan SET jit = off`
