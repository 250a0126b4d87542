export { openSimTee } from './sim-tee.ts'
