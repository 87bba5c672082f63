/** The content of an artifact, fetched in pieces. */
import type { PageStore } from '@/store/page'
import { decodeBase64 } from '@/lib/base64'

const PIECE = 1 << 20

/** The first `most` bytes of an artifact; `progress` is told the part that has come, 0 to 1. */
export async function fetchContent(
  page: PageStore,
  id: string,
  total: number,
  most: number,
  progress?: (part: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const wanted = Math.min(total, most)
  const bytes = new Uint8Array(wanted)
  let offset = 0
  while (offset < wanted) {
    const limit = Math.min(PIECE, wanted - offset)
    const { content } = await page.connection.request<{ content: string }>('getArtifactContent', {
      id,
      offset,
      limit,
    })
    const piece = decodeBase64(content)
    if (piece.length === 0) break
    bytes.set(piece, offset)
    offset += piece.length
    progress?.(offset / wanted)
  }
  return offset === wanted ? bytes : bytes.slice(0, offset)
}

/** Offers bytes to the user as a file. */
export function saveFile(name: string, content: BlobPart): void {
  const address = URL.createObjectURL(new Blob([content], { type: 'application/octet-stream' }))
  const link = document.createElement('a')
  link.href = address
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(address), 60_000)
}
