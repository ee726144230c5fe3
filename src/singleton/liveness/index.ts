/** `errand/liveness`: liveness of singletons in files and over HTTP. */
export { fileLiveness, type FileLivenessOptions } from './file.ts'
export { httpLiveness, type HttpLivenessOptions } from './http.ts'
