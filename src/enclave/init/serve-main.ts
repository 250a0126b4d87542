// A serving thread of init: a program of its own, so that each thread loads only what serving needs.
import { runServeWorker } from './serve-worker.ts'

runServeWorker()
