/** Finds the files that the demo works on. */
import { readdir } from 'node:fs/promises'
import { extname, join } from 'node:path'

const textExtensions = new Set(
  '.js .cjs .mjs .ts .cts .mts .tsx .jsx .json .md .markdown .txt .html .css .svg .xml .yml .yaml .sql .csv .map'.split(
    ' ',
  ),
)

/** Answers the paths of the text files below a folder, in order, at most `limit`. Links are not followed. */
export async function findTextFiles(folder: string, limit: number): Promise<readonly string[]> {
  const found: string[] = []
  const folders = [folder]
  for (let next = folders.pop(); next !== undefined && found.length < limit; next = folders.pop()) {
    const entries = (await readdir(next, { withFileTypes: true })).toSorted((a, b) =>
      a.name < b.name ? -1 : 1,
    )
    const path = next
    found.push(
      ...entries
        .filter((entry) => entry.isFile() && textExtensions.has(extname(entry.name)))
        .map((entry) => join(path, entry.name)),
    )
    const below = entries.filter((entry) => entry.isDirectory() && entry.name !== '.git')
    folders.push(...below.toReversed().map((entry) => join(path, entry.name)))
  }
  return found.slice(0, limit)
}
