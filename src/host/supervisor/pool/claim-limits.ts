/** How long a spare may take to answer to a job: then it was stopped, or is as good as that. Milliseconds. */
export const ANSWER_MS = 2000

/**
 * How long a command may take to say `go` to a spare that has answered. One that goes on at all has done it, or
 * has given the spare up, by then.
 */
export const GO_MS: number = 2 * ANSWER_MS
