// node --test
import assert from "node:assert";
import { readFileSync } from "node:fs";
import test from "node:test";
import { partition } from "./headrace.js";

test("the golden vectors of the contract hold", () => {
  const vectors = JSON.parse(readFileSync(new URL("../../topics/golden_vectors.json", import.meta.url)));
  assert(vectors.length > 0);
  for (const { key_hex, partitions, partition: wanted } of vectors) {
    assert.equal(partition(Buffer.from(key_hex, "hex"), partitions), wanted, `${key_hex} of ${partitions}`);
  }
});
