/** Reads rows from a JSON list or from CSV; null when the text holds none. */
import Papa from 'papaparse'

export interface TableData {
  columns: string[]
  rows: Record<string, unknown>[]
}

export function readTable(text: string, csv: boolean): TableData | null {
  const rows = csv ? readCsv(text) : readJson(text)
  if (!rows || rows.length === 0) return null
  const columns = new Set<string>()
  for (const row of rows.slice(0, 1000)) for (const name of Object.keys(row)) columns.add(name)
  return { columns: [...columns], rows }
}

function readCsv(text: string): Record<string, unknown>[] {
  return Papa.parse<Record<string, unknown>>(text, {
    header: true,
    skipEmptyLines: true,
    dynamicTyping: true,
  }).data
}

function readJson(text: string): Record<string, unknown>[] | null {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return null
  }
  if (!Array.isArray(value)) return null
  return value.map((item: unknown) =>
    item !== null && typeof item === 'object' && !Array.isArray(item)
      ? (item as Record<string, unknown>)
      : { value: item },
  )
}

export function showCell(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (typeof value === 'object') return JSON.stringify(value)
  // eslint-disable-next-line @typescript-eslint/no-base-to-string -- objects were handled above
  return String(value)
}
