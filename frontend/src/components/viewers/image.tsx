/** An image, SVG among them, always through an image element: no markup of an artifact enters the page. */
import { useEffect, useState } from 'react'

export function Picture({
  bytes,
  type,
  name,
}: {
  bytes: Uint8Array<ArrayBuffer>
  type: string
  name: string
}) {
  const [address, setAddress] = useState('')
  const [broken, setBroken] = useState(false)
  useEffect(() => {
    const url = URL.createObjectURL(new Blob([bytes], { type }))
    setAddress(url)
    return () => URL.revokeObjectURL(url)
  }, [bytes, type])
  if (broken)
    return <p className="text-sm text-muted">The image cannot be read. Its content can be downloaded.</p>
  return (
    <figure className="grid place-items-center overflow-auto rounded-lg border bg-white p-4">
      {address && (
        <img src={address} alt={name} onError={() => setBroken(true)} className="max-h-[70vh] max-w-full" />
      )}
    </figure>
  )
}
