/** Which viewer fits a type and a name. */
export type Viewer = 'markdown' | 'table' | 'image' | 'code' | 'binary'

const IMAGE_ENDINGS: Record<string, string> = {
  svg: 'image/svg+xml',
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  gif: 'image/gif',
  webp: 'image/webp',
}
const BINARY = /^(application\/(octet-stream|zip|pdf|gzip)|audio\/|video\/|font\/)/

export function ending(name: string): string {
  return name.includes('.') ? name.slice(name.lastIndexOf('.') + 1).toLowerCase() : ''
}

/** The media type with which an image is shown, or undefined when it is none. */
export function imageType(mime: string, name: string): string | undefined {
  const known = Object.values(IMAGE_ENDINGS)
  if (known.includes(mime)) return mime
  return mime.startsWith('image') || mime === 'bytes' ? IMAGE_ENDINGS[ending(name)] : undefined
}

export function viewerFor(mime: string, name: string): Viewer {
  if (imageType(mime, name)) return 'image'
  if (mime === 'text/markdown' || ['md', 'markdown'].includes(ending(name))) return 'markdown'
  if (mime.startsWith('list<') || mime === 'text/csv' || ending(name) === 'csv') return 'table'
  if (BINARY.test(mime)) return 'binary'
  return 'code'
}
