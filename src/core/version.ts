/** The version of the package, as workers record it. */
export const version = '0.1.0'
