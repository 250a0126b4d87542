import type { BenchDocument, Measured, Row } from './document.ts'

const WIDTH = 760
const LABEL = 250
const VALUE = 130
const BAR = 13
const GAP = 12
const PANEL = 26
const PAD = 14
const SCALE: number = WIDTH - LABEL - VALUE - 2 * PAD

const COLOURS = {
  ours: '#4c9bb5',
  peer: '#b8bec6',
  goal: '#c0392b',
  text: '#24292f',
  faint: '#6e7781',
}

/**
 * A document as bars, one panel a unit: ours, the peer under it, a line from the least to the largest
 * sample, and a mark where the goal lies. Deterministic, so that it can be compared with what is committed.
 */
export function plot(document: BenchDocument): string {
  const units = [...new Set(document.rows.map(({ unit }) => unit))]
  const parts: string[] = []
  let y = PAD
  for (const unit of units) {
    const rows = document.rows.filter((row) => row.unit === unit)
    const largest = Math.max(...rows.flatMap(extent))
    const better = [...new Set(rows.map((row) => row.better))].join(' or ')
    parts.push(text(PAD, y + 12, `${unit}, ${better} is better`, COLOURS.faint))
    y += PANEL
    for (const row of rows) {
      parts.push(...bars(row, y, SCALE / largest))
      y += heightOf(row)
    }
    y += GAP
  }
  const title = `Bench ${document.bench}: ${document.rows.length} rows`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y}" viewBox="0 0 ${WIDTH} ${y}" role="img" aria-label="${escapeXml(title)}" font-family="system-ui, sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${y}" fill="#ffffff"/>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n')
}

function bars(row: Row, top: number, scale: number): string[] {
  const x = PAD + LABEL
  const sides: [Measured, string, string][] = [[row.ours, COLOURS.ours, 'enclave-cc']]
  if (row.peer !== null) sides.push([row.peer, COLOURS.peer, row.peer.name])
  const parts = [text(PAD, top + BAR - 2, row.name, COLOURS.text)]
  sides.forEach(([side, colour, name], i) => {
    const y = top + i * (BAR + 3)
    parts.push(rect(x, y, side.median * scale, colour))
    if (side.samples.length > 1) {
      parts.push(line(x + side.min * scale, x + side.max * scale, y + BAR / 2, y + BAR / 2))
    }
    const value = row.peer === null ? `${side.median}` : `${side.median} ${name}`
    // a column of their own: beside the bars they would cross the goal
    parts.push(text(x + SCALE + 8, y + BAR - 2, value, COLOURS.faint))
  })
  const goal = goalValue(row)
  if (goal !== undefined) {
    const at = x + goal * scale
    parts.push(line(at, at, top - 3, top + BAR + 3, COLOURS.goal, 2))
  }
  return parts
}

function heightOf(row: Row): number {
  return (row.peer === null ? 1 : 2) * (BAR + 3) + GAP
}

/** The goal on the row's own scale: with a peer it is a ratio to the peer's median. */
function goalValue({ goal, peer, better }: Row): number | undefined {
  if (goal === null) return undefined
  if (peer === null) return goal
  return better === 'lower' ? peer.median / goal : peer.median * goal
}

function extent(row: Row): number[] {
  return [row.ours.max, row.peer?.max ?? 0, goalValue(row) ?? 0]
}

function rect(x: number, y: number, width: number, fill: string): string {
  return `<rect x="${fixed(x)}" y="${fixed(y)}" width="${fixed(Math.max(width, 1))}" height="${BAR}" fill="${fill}"/>`
}

function line(
  x1: number,
  x2: number,
  y1: number,
  y2: number,
  stroke: string = COLOURS.text,
  width = 1,
): string {
  return `<line x1="${fixed(x1)}" x2="${fixed(x2)}" y1="${fixed(y1)}" y2="${fixed(y2)}" stroke="${stroke}" stroke-width="${width}"/>`
}

function text(x: number, y: number, content: string, fill: string): string {
  return `<text x="${fixed(x)}" y="${fixed(y)}" fill="${fill}">${escapeXml(content)}</text>`
}

function fixed(value: number): string {
  return String(Math.round(value * 10) / 10)
}

function escapeXml(content: string): string {
  return content.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`)
}
