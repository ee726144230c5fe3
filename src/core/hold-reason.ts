/** Why a worker claims nothing: an order of an operator, its own program, or the load of its machine. */
export type HoldReason = 'control' | 'code' | 'cpu' | 'memory' | 'lag'
