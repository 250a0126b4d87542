import { connect } from 'node:net'

/**
 * Sends one command in the Redis protocol and returns the first reply, as text. Throws if the server is
 * not there or says nothing in five seconds.
 */
export async function redisCommand(port: number, ...words: readonly string[]): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.setTimeout(5_000, () => socket.destroy(new Error('no reply from the server')))
  try {
    const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`)
    socket.write(`*${words.length}\r\n${parts.join('')}`)
    let text = ''
    for await (const chunk of socket) {
      text += String(chunk)
      const reply = firstReply(text)
      if (reply !== undefined) return reply
    }
    throw new Error('the server closed the connection')
  } finally {
    socket.destroy()
  }
}

function firstReply(text: string): string | undefined {
  const end = text.indexOf('\r\n')
  if (end === -1) return undefined
  const line = text.slice(1, end)
  if (text[0] !== '$') return line
  const length = Number(line)
  if (length === -1) return ''
  return text.length >= end + 2 + length + 2 ? text.slice(end + 2, end + 2 + length) : undefined
}
