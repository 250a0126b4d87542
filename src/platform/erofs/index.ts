export type { ErofsMountCode } from './mount-erofs.ts'
export { mountErofs } from './mount-erofs.ts'
