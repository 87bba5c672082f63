/** Numbers in the words that a person reads; as symphony/ui/words.py. */

export function seconds(value: number): string {
  if (value < 0.0005) return '0 s'
  if (value < 0.9995) return `${(value * 1000).toFixed(0)} ms`
  if (value < 10) return `${value.toFixed(1)} s`
  if (value < 60) return `${value.toFixed(0)} s`
  if (value < 3600) return `${Math.floor(value / 60)} min ${Math.floor(value % 60)} s`
  return `${Math.floor(value / 3600)} h ${Math.floor((value % 3600) / 60)} min`
}

export function size(bytes: number): string {
  let amount = bytes
  for (const unit of ['B', 'KB', 'MB']) {
    if (amount < 1000)
      return `${unit === 'B' || amount >= 100 ? amount.toFixed(0) : amount.toFixed(1)} ${unit}`
    amount /= 1000
  }
  return `${amount.toFixed(1)} GB`
}

/** `git · log` for `symphony/git#log`. */
export function playerTitle(player: string): string {
  const [extension = '', call = ''] = (player.split('@')[0] ?? '').split('#')
  const short = extension.slice(extension.lastIndexOf('/') + 1)
  return call ? `${short} · ${call}` : short
}
