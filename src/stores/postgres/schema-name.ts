/** Where the schema is named in a statement. */

/** Names the schema in a statement that is written for `errand`. */
export function inSchema(sql: string, schema: string): string {
  return schema === 'errand'
    ? sql
    : sql.replaceAll(/\berrand\.|SCHEMA (?:IF NOT EXISTS )?errand\b/g, (found) =>
        found.replace('errand', schema),
      )
}
