import { expect, test } from 'vitest'
import { filesOf } from '@/components/difference'

const DIFF = `diff --git a/a.txt b/a.txt
--- a/a.txt
+++ b/a.txt
@@ -1,2 +1,2 @@
 one
--- two
+++ three
diff --git a/b.txt b/b.txt
deleted file mode 100644
--- a/b.txt
+++ /dev/null
@@ -1 +0,0 @@
-b
`

test('a diff is told file by file, and lines that look like headers stay lines', () => {
  expect(filesOf(DIFF)).toEqual([
    { name: 'a.txt', lines: ['@@ -1,2 +1,2 @@', ' one', '--- two', '+++ three'] },
    { name: 'b.txt', lines: ['deleted file mode 100644', '@@ -1 +0,0 @@', '-b'] },
  ])
})

test('what has no header is shown as it is', () => {
  expect(filesOf('nothing')).toEqual([{ name: '', lines: ['nothing'] }])
})
