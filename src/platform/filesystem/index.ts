export { abandonFilesystem, trimFilesystem } from './filesystem.ts'
