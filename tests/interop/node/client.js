// What the programs of the Node.js clients share: their command line, and checks.
//
// `tour HOST:PORT STOP…` goes to the named stops and prints `ok` and the stop's name after each; any
// surprise ends the program. `write HOST:PORT` produces the topics that standard input lists in JSON,
// each with the codec that is asked for. Bytes are hexadecimal, or null. For `member` see member.js.
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { text } from 'node:stream/consumers'
import { Notes } from './member.js'

export const EVENTS = 300
export const FIRST_TIMESTAMP = 1_700_000_000_000

export function event (number) {
  return {
    key: Buffer.from(`key-${number}`),
    value: Buffer.from(`value-${number}`),
    headers: [['number', Buffer.from(String(number))]],
    timestamp: FIRST_TIMESTAMP + number
  }
}

export const events = Array.from({ length: EVENTS }, (_, number) => event(number))

// Metadata reaches clients in time, not at once.
export async function until (what, holds) {
  const deadline = Date.now() + 30_000
  while (!(await holds())) {
    assert(Date.now() < deadline, what)
    await sleep(20)
  }
}

const fromHex = value => (value === null ? null : Buffer.from(value, 'hex'))

export async function main (stops, write, member) {
  const [verb, address, ...named] = process.argv.slice(2)
  if (verb === 'tour') {
    for (const stop of named) {
      await stops[stop](address)
      console.log('ok', stop)
    }
    return
  }
  if (verb === 'member') {
    await member(address, new Notes(named[0]))
    return
  }
  assert.equal(verb, 'write')
  for (const { topic, codec, records } of JSON.parse(await text(process.stdin))) {
    const decoded = records.map(one => ({
      key: fromHex(one.key),
      value: fromHex(one.value),
      headers: one.headers.map(([name, value]) => [name, fromHex(value)]),
      timestamp: one.timestamp
    }))
    await write(address, topic, codec, decoded)
  }
}
