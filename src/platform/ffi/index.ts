export { errno, libc } from './libc.ts'
export { check, cString, errnoName, lastError, SystemError } from './system-error.ts'
