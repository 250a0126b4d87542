/** A secret as it is, and as texts would hold it. */
export function forms(secret: Uint8Array): readonly Uint8Array[] {
  const bytes = Buffer.from(secret)
  // base64 of a longer text holds it in one of three alignments; the middle is enough to find it
  const aligned = [0, 1, 2].map((skip) => {
    const text = Buffer.concat([Buffer.alloc(skip), bytes]).toString('base64')
    return text.slice(skip === 0 ? 0 : 4, -6)
  })
  const texts = [bytes.toString('hex'), ...aligned, ...aligned.map(urlSafe)]
  return [bytes, ...new Set(texts)].map((text) => Buffer.from(text as string))
}

function urlSafe(text: string): string {
  return text.replaceAll('+', '-').replaceAll('/', '_')
}
