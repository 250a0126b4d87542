export type { FileLock, LockKind } from './file-lock.ts'
export { lockFile, tryLockFile, tryLockOpenFile } from './file-lock.ts'
