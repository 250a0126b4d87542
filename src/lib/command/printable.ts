// C0, DEL and C1: what moves the cursor, hides text or begins a new line.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g

/**
 * Text of others as it may stand in a line for people: control characters become one space. Attack: an
 * enclave, a broker or a registry whose answer redraws the operator's terminal or forges a line of ours.
 */
export function printable(text: string): string {
  return text.replace(CONTROL, ' ')
}
