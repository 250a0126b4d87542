export type { SocketPair } from './socket-pair.ts'
export { socketPair } from './socket-pair.ts'
