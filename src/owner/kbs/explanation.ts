import { printable } from '#lib/command'
import { array, type JsonObject, object, string, strings } from '#lib/json'

/** A decision as people read it: what, why, by which rule, and what to do. */
export function explanation(record: JsonObject): string {
  const text = (name: string): string => string(record[name] ?? '', name)
  const lines = [
    `${text('kind')} ${text('decision')} [${text('code')}]  ${text('time')}  ${text('id')}`,
    text('subject'),
  ]
  for (const item of array(record.claims ?? [], 'claims')) {
    const claim = object(item, 'claim')
    const expected = strings(claim.expected ?? [], 'expected')
    const mark = claim.ok === true ? 'ok ' : 'NOT'
    lines.push(`  ${mark} ${string(claim.name, 'name')}: ${string(claim.actual, 'actual')}`)
    for (const one of claim.ok === true ? [] : expected) lines.push(`      expected ${one}`)
  }
  const ids = strings(record.policyIds ?? [], 'policyIds')
  if (ids.length > 0) lines.push(`by policy ${ids.join(', ')}`)
  if (record.closestReference !== undefined) {
    const closest = object(record.closestReference, 'closestReference')
    const differs = strings(closest.differs, 'differs').join(', ')
    lines.push(`closest reference ${string(closest.name, 'name')}: differs in ${differs}`)
  }
  if (text('next') !== '') lines.push(`next: ${text('next')}`)
  return lines.map(printable).join('\n')
}
