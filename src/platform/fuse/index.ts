export { cloneFuse, mountFuse } from './device.ts'
