/** An image, SVG among them, always through an image element: no markup of an artifact enters the page. */
import { useEffect, useRef, useState } from 'react'

export function Picture({
  bytes,
  type,
  name,
}: {
  bytes: Uint8Array<ArrayBuffer>
  type: string
  name: string
}) {
  const picture = useRef<HTMLImageElement>(null)
  const [broken, setBroken] = useState(false)
  useEffect(() => {
    const address = URL.createObjectURL(new Blob([bytes], { type }))
    if (picture.current) picture.current.src = address
    return () => URL.revokeObjectURL(address)
  }, [bytes, type])
  if (broken)
    return <p className="text-sm text-muted">The image cannot be read. Its content can be downloaded.</p>
  return (
    <figure className="grid place-items-center overflow-auto rounded-lg border bg-white p-4">
      <img ref={picture} alt={name} onError={() => setBroken(true)} className="max-h-[70vh] max-w-full" />
    </figure>
  )
}
