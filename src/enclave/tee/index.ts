export { openSimTee } from './sim/index.ts'
