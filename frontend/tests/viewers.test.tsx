import { cleanup, render, screen } from '@testing-library/react'
import { afterEach, describe, expect, it } from 'vitest'
import { imageType, viewerFor } from '@/components/viewers/kind'
import Markdown from '@/components/viewers/markdown'
import { readTable } from '@/components/viewers/table-data'
import { decodeBase64, encodeBase64 } from '@/lib/base64'

afterEach(cleanup)

describe('the viewer', () => {
  it.each([
    ['text/markdown', 'report.md', 'markdown'],
    ['text', 'notes.md', 'markdown'],
    ['list<git/commit>', 'log.commits.json', 'table'],
    ['text/csv', 'rows.csv', 'table'],
    ['image/svg+xml', 'chart.svg', 'image'],
    ['image', 'plot.png', 'image'],
    ['text', 'main.py', 'code'],
    ['record', 'stats.json', 'code'],
    ['application/zip', 'all.zip', 'binary'],
  ])('of %s %s is %s', (mime, name, viewer) => expect(viewerFor(mime, name)).toBe(viewer))

  it('knows the media type of an image by its name when its type says only that it is one', () => {
    expect(imageType('image', 'a.PNG')).toBe('image/png')
    expect(imageType('text', 'a.png')).toBeUndefined()
  })
})

describe('Markdown', () => {
  it('renders tables and task lists', () => {
    render(<Markdown text={'| a |\n|---|\n| 1 |\n\n- [x] done'} />)
    expect(screen.getByRole('table')).toBeDefined()
    expect(screen.getByRole<HTMLInputElement>('checkbox').checked).toBe(true)
  })

  it('keeps inline images and fetches none from elsewhere', () => {
    render(<Markdown text={'![in](data:image/svg+xml;base64,AAAA) ![out](https://example.org/a.png)'} />)
    const images = screen.getAllByRole('img')
    expect(images.map((image) => image.getAttribute('src'))).toEqual(['data:image/svg+xml;base64,AAAA'])
    expect(screen.getByText('[image: out]')).toBeDefined()
  })

  it.each([
    '<script>alert(1)</script>',
    '<img src=x onerror=alert(1)>',
    '[x](javascript:alert(1))',
    '![x](data:text/html;base64,AAAA)',
    '<iframe src="https://example.org"></iframe>',
    '<svg onload=alert(1)>',
  ])('leaves nothing active of %s', (text) => {
    const { container } = render(<Markdown text={text} />)
    expect(container.querySelector('script, iframe, svg, [onerror], [onload], a[href], img')).toBeNull()
  })
})

describe('tables', () => {
  it('reads lists of records, plain lists and CSV', () => {
    expect(readTable('[{"a":1},{"b":2}]', false)).toEqual({ columns: ['a', 'b'], rows: [{ a: 1 }, { b: 2 }] })
    expect(readTable('["x"]', false)?.rows).toEqual([{ value: 'x' }])
    expect(readTable('a,b\n1,"x, y"\n', true)?.rows).toEqual([{ a: 1, b: 'x, y' }])
  })

  it('says when there are no rows', () => {
    expect(readTable('{"a":1}', false)).toBeNull()
    expect(readTable('not json', false)).toBeNull()
    expect(readTable('[]', false)).toBeNull()
  })
})

describe('base64', () => {
  it('goes there and back', () => {
    const bytes = Uint8Array.from({ length: 100_000 }, (_, index) => index % 256)
    expect(decodeBase64(encodeBase64(bytes))).toEqual(bytes)
  })
})
