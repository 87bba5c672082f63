/** Fetches a file from the host and offers it to the user. */
import { useState } from 'react'
import { Download as Icon, Loader2 } from 'lucide-react'
import type { ElementOf } from '@/element'
import { Button } from '@/components/ui/button'
import { fetchContent, saveFile } from '@/store/content'
import { decodeBase64 } from '@/lib/base64'
import { usePage } from '@/store/context'

export function Download({ props }: ElementOf<'Download'>) {
  const page = usePage()
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState('')
  const fetchIt = async () => {
    setBusy(true)
    setProblem('')
    try {
      if (props.method !== 'getArtifactContent') {
        const file = await page.connection.request<{ name: string; content: string }>(
          props.method,
          props.params,
        )
        saveFile(file.name, decodeBase64(file.content))
      } else {
        const id = String(props.params.id)
        const size = await page.connection.request<{ artifact: { bytes: number } }>(props.method, {
          id,
          limit: 0,
        })
        saveFile(props.filename, await fetchContent(page, id, size.artifact.bytes, Infinity))
      }
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error))
    } finally {
      setBusy(false)
    }
  }
  return (
    <span className="inline-flex items-center gap-2">
      <Button disabled={busy} onClick={() => void fetchIt()}>
        {busy ? <Loader2 aria-hidden className="animate-spin" /> : <Icon aria-hidden />}
        {props.label}
      </Button>
      {problem && (
        <span role="alert" className="text-xs text-bad">
          {problem}
        </span>
      )}
    </span>
  )
}
