export type { FileLock, LockKind } from './file-lock.ts'
export { lockFile, tryLockFile } from './file-lock.ts'
