// The peer of the Virtual DOM: fast-json-patch compares two trees and writes the patch. For each line that arrives it
// answers the milliseconds of one change, the mean of several.
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

const require = createRequire(new URL('../frontend/package.json', import.meta.url))
const { compare } = require('fast-json-patch')
const [size, changes] = process.argv.slice(2).map(Number)

const row = (index) => ({ type: 'Text', key: `row:${index}`, props: {}, children: [`text ${index}`] })
const tree = () => ({ type: 'Stack', key: 'list', props: {}, children: Array.from({ length: size }, (_, i) => row(i)) })
const before = tree()
const after = tree()
let counter = 0

for await (const _ of createInterface({ input: process.stdin })) {
  const began = process.hrtime.bigint()
  let written = 0
  for (let change = 0; change < changes; change++) {
    after.children[size >> 1].children[0] = `changed ${counter++}`
    written += JSON.stringify(compare(before, after)).length
  }
  const took = Number(process.hrtime.bigint() - began) / 1e6 / changes
  if (written === 0) throw new Error('nothing was written')
  console.log(took)
}
