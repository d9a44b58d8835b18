// @platformatic/kafka: administration, and producers with every codec that the runtime has and acks.
import assert from 'node:assert/strict'
import {
  Admin, Consumer, Producer, alterConfigsV2, createPartitionsV3, deleteRecordsV2, describeClusterV1, describeConfigsV4,
  describeQuorumV2, incrementalAlterConfigsV1, listOffsetsV9, listPartitionReassignmentsV0
} from '@platformatic/kafka'
import { EVENTS, FIRST_TIMESTAMP, events, main, until } from './client.js'

const TOPIC = 2
const [SET, DELETE, APPEND, SUBTRACT] = [0, 1, 2, 3]
const [LATEST, EARLIEST, OF_MAX_TIMESTAMP] = [-1, -2, -3]
const TIMEOUT = 10_000

async function using (client, work) {
  try {
    return await work(client)
  } finally {
    await client.close()
  }
}

const asAdmin = (address, work) =>
  using(new Admin({ clientId: 'tour', bootstrapBrokers: [address], retries: 0 }), work)

const asProducer = (address, settings, work) =>
  using(new Producer({ clientId: 'tour', bootstrapBrokers: [address], ...settings }), work)

// A connection to the only node, for requests that the admin client has no method for.
const connection = async admin => (await admin.connectToBrokers()).values().next().value

const fails = (id, work) => assert.rejects(work, error => JSON.stringify(flat(error)).includes(id))

const flat = error => [error.apiId, error.message, ...(error.errors ?? []).map(flat)]

async function create (admin, topic, partitions = 1, configs = {}) {
  const named = Object.entries(configs).map(([name, value]) => ({ name, value }))
  await admin.createTopics({ topics: [topic], partitions, replicas: 1, configs: named })
  await awaitLeaders(admin, topic, partitions)
}

async function awaitLeaders (admin, topic, partitions) {
  await until(`leaders of ${topic}`, async () => {
    try {
      const about = (await admin.metadata({ topics: [topic], forceUpdate: true })).topics.get(topic)
      return about.partitions.filter(one => one.leader >= 0).length === partitions
    } catch (error) {
      assert(JSON.stringify(flat(error)).includes('UNKNOWN_TOPIC_OR_PARTITION'), error)
      return false
    }
  })
}

function messages (topic, records) {
  return records.map(({ key, value, headers, timestamp }) => ({
    topic,
    partition: 0,
    key,
    value,
    headers: new Map(headers.map(([name, header]) => [Buffer.from(name), header])),
    timestamp: BigInt(timestamp)
  }))
}

async function cluster (address) {
  await asAdmin(address, async admin => {
    const about = await describeClusterV1.api.async(await connection(admin), false, 1)
    assert.deepEqual(about.brokers.map(one => `${one.host}:${one.port}`), [address])
    assert.equal(about.controllerId, about.brokers[0].brokerId)
    assert.equal(about.clusterId.length, 22)
    assert((await admin.listApis()).some(one => one.name === 'Produce'))
  })
}

async function topics (address) {
  const topic = 'platformatic-topics'
  await asAdmin(address, async admin => {
    await create(admin, topic, 2, { 'retention.ms': '3600000' })
    await fails('TOPIC_ALREADY_EXISTS', () => create(admin, topic))
    await fails('INVALID_TOPIC_EXCEPTION', () => create(admin, 'bad name'))
    const grow = async count =>
      createPartitionsV3.api.async(await connection(admin), [{ name: topic, count, assignments: null }], TIMEOUT, false)
    await grow(5)
    await awaitLeaders(admin, topic, 5)
    await fails('INVALID_PARTITIONS', () => grow(3))
    await admin.deleteTopics({ topics: [topic] })
    await until('the topic is gone', async () => !(await admin.listTopics()).includes(topic))
    await fails('UNKNOWN_TOPIC_OR_PARTITION', () => admin.deleteTopics({ topics: [topic] }))
  })
}

async function configs (address) {
  const topic = 'platformatic-configs'
  await asAdmin(address, async admin => {
    await create(admin, topic, 1, { 'segment.bytes': '2000000' })
    const there = await connection(admin)
    const described = async name => {
      const asked = [{ resourceType: TOPIC, resourceName: topic, configurationKeys: [name] }]
      // Without synonyms: 1.22 does not read the tagged fields between two of them.
      const { results } = await describeConfigsV4.api.async(there, asked, false, true)
      assert.equal(results[0].configs.length, 1)
      return results[0].configs[0].value
    }
    const alter = (name, configOperation, value) =>
      incrementalAlterConfigsV1.api.async(
        there, [{ resourceType: TOPIC, resourceName: topic, configs: [{ name, configOperation, value }] }], false)
    const shows = (name, value) => until(`${name} is ${value}`, async () => (await described(name)) === value)
    assert.equal(await described('segment.bytes'), '2000000')
    await alter('cleanup.policy', APPEND, 'compact')
    await shows('cleanup.policy', 'delete,compact')
    await alter('cleanup.policy', SUBTRACT, 'delete')
    await shows('cleanup.policy', 'compact')
    await alter('segment.bytes', DELETE, null)
    await shows('segment.bytes', '1073741824')
    await fails('INVALID_CONFIG', () => alter('cleanup.policy', SET, 'burn'))
    const all = [{ name: 'max.message.bytes', value: '3000' }]
    await alterConfigsV2.api.async(there, [{ resourceType: TOPIC, resourceName: topic, configs: all }], false)
    await shows('max.message.bytes', '3000')
    await shows('cleanup.policy', 'delete')
  })
}

async function offsetAt (admin, topic, time) {
  const partitions = [{ partitionIndex: 0, currentLeaderEpoch: -1, timestamp: BigInt(time) }]
  const answer = await listOffsetsV9.api.async(await connection(admin), -1, 0, [{ name: topic, partitions }])
  return Number(answer.topics[0].partitions[0].offset)
}

async function acks (address) {
  await asAdmin(address, async admin => {
    for (const [name, wanted] of Object.entries({ 0: 0, 1: 1, all: -1 })) {
      const topic = `platformatic-acks-${name}`
      await create(admin, topic)
      await asProducer(address, {}, producer => producer.send({ acks: wanted, messages: messages(topic, events) }))
      await until(`records with acks=${name}`, async () => (await offsetAt(admin, topic, LATEST)) === EVENTS)
    }
  })
}

async function idempotent (address) {
  const topic = 'platformatic-idempotent'
  await asAdmin(address, admin => create(admin, topic))
  await asProducer(address, { idempotent: true }, async producer => {
    for (let first = 0; first < EVENTS; first += 50) {
      const { offsets: sent } = await producer.send({ messages: messages(topic, events.slice(first, first + 50)) })
      assert.deepEqual(sent, [{ topic, partition: 0, offset: BigInt(first) }])
    }
  })
}

async function large (address) {
  const topic = 'platformatic-large'
  await asAdmin(address, admin => create(admin, topic, 1, { 'max.message.bytes': '2000' }))
  await asProducer(address, { retries: 0 }, producer =>
    fails('MESSAGE_TOO_LARGE', () => producer.send({ messages: [{ topic, value: Buffer.alloc(5000) }] })))
}

async function offsets (address) {
  const topic = 'platformatic-offsets'
  await asAdmin(address, async admin => {
    await create(admin, topic)
    await asProducer(address, {}, async producer => {
      for (let first = 0; first < EVENTS; first += 7) {
        await producer.send({ acks: -1, messages: messages(topic, events.slice(first, first + 7)) })
      }
    })
    assert.equal(await offsetAt(admin, topic, EARLIEST), 0)
    assert.equal(await offsetAt(admin, topic, LATEST), EVENTS)
    assert.equal(await offsetAt(admin, topic, OF_MAX_TIMESTAMP), EVENTS - 1)
    assert.equal(await offsetAt(admin, topic, FIRST_TIMESTAMP + 77), 77)
    assert.equal(await offsetAt(admin, topic, FIRST_TIMESTAMP + EVENTS), -1)
  })
}

async function deleted (address) {
  const topic = 'platformatic-deleted'
  await asAdmin(address, async admin => {
    await create(admin, topic)
    await asProducer(address, {}, producer => producer.send({ acks: -1, messages: messages(topic, events) }))
    const remove = async offset => {
      const partitions = [{ partitionIndex: 0, offset }]
      return deleteRecordsV2.api.async(await connection(admin), [{ name: topic, partitions }], TIMEOUT)
    }
    const answer = await remove(120n)
    assert.equal(answer.topics[0].partitions[0].lowWatermark, 120n)
    assert.equal(await offsetAt(admin, topic, EARLIEST), 120)
    await fails('OFFSET_OUT_OF_RANGE', () => remove(BigInt(EVENTS + 1)))
  })
}

async function directories (address) {
  const topic = 'platformatic-directories'
  await asAdmin(address, async admin => {
    await create(admin, topic, 2)
    await asProducer(address, {}, producer => producer.send({ acks: -1, messages: messages(topic, events) }))
    const [{ results }] = await admin.describeLogDirs({ topics: [{ name: topic, partitions: [0, 1] }] })
    assert.equal(results.length, 1)
    assert(results[0].totalBytes > results[0].usableBytes && results[0].usableBytes > 0n)
    const sizes = Object.fromEntries(
      results[0].topics[0].partitions.map(one => [one.partitionIndex, one.partitionSize]))
    assert(sizes[0] > BigInt(EVENTS))
    assert.equal(sizes[1], 0n)
  })
}

async function operated (address) {
  const user = 'platformatic'
  await asAdmin(address, async admin => {
    const { controllerId } = await describeClusterV1.api.async(await connection(admin), false, 1)
    const asked = [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }]
    const quorum = await describeQuorumV2.api.async(await connection(admin), asked)
    assert.equal(quorum.topics[0].partitions[0].leaderId, controllerId)
    const moving = await listPartitionReassignmentsV0.api.async(await connection(admin), TIMEOUT, null)
    assert.deepEqual(moving.topics, [])
    const set = ops => admin.alterClientQuotas(
      { entries: [{ entities: [{ entityType: 'user', entityName: user }], ops }], validateOnly: false })
    const described = () => admin.describeClientQuotas(
      { components: [{ entityType: 'user', matchType: 0, match: user }], strict: true })
    await set([{ key: 'consumer_byte_rate', value: 1234567, remove: false }])
    await until('the quota', async () => (await described())[0]?.values[0].value === 1234567)
    await set([{ key: 'consumer_byte_rate', remove: true }])
    await until('no quota', async () => (await described()).length === 0)
  })
}

async function write (address, topic, codec, records) {
  await asProducer(address, {}, async producer => {
    const { offsets: sent } = await producer.send({ compression: codec, messages: messages(topic, records) })
    assert.deepEqual(sent, [{ topic, partition: 0, offset: 0n }])
  })
}

// The client commits the offset of the last message, and reads on behind it. After a rebalance it reads from what is
// committed, while messages from before are still in its stream: what was handed out already is left out.
// What a user has to mind with @platformatic/kafka 1.22.0, and what this program does about it:
// - After a rebalance a stream fetches from where it once was, until it has asked what is committed, and
//   an answer that is on its way then puts it back there; what it has buffered of partitions that are
//   another's now it hands out, too (messages-stream.js: the listener of consumer:group:join, #fetch and
//   #pushRecords). So: a stream for each generation; the new one is opened before the old one is closed,
//   as the client leaves the topic, and joins again, otherwise.
// - Commits carry the generation of the moment in which they leave, which is the next one's before the
//   client has its assignment (consumer.js: #commit, #performJoinGroup). So: nothing is committed unless
//   the client is the member still, in the generation, that the records were read in.
// - It commits the offset of the last record, not the next one, and continues behind it.
async function member (address, notes) {
  const { group, topic, session_ms: sessionTimeout, heartbeat_ms: heartbeatInterval, isolation } = notes.settings
  const consumer = new Consumer({
    clientId: notes.settings.client,
    bootstrapBrokers: [address],
    groupId: group,
    sessionTimeout,
    heartbeatInterval,
    rebalanceTimeout: 10_000,
    maxWaitTime: 50,
    retries: 200, // while the coordinator loads
    retryDelay: 100,
    isolationLevel: isolation === 'read_committed' ? 'READ_COMMITTED' : 'READ_UNCOMMITTED',
    autocommit: false
  })
  consumer.setMaxListeners(0) // streams that are closed listen on
  consumer.on('error', error => { if (!left) fail(error) }) // it says so when it is closed while it joins
  let [left, membership, queue, wake, busy] = [false, null, [], () => {}, Promise.resolve()]
  let fail
  const failed = new Promise((resolve, reject) => { fail = reject })
  const isMember = () =>
    membership?.memberId === consumer.memberId && membership.generationId === consumer.generationId
  const open = async joined => {
    const stream = await consumer.consume({ topics: [topic], mode: 'committed', fallbackMode: 'earliest' })
    const mine = joined ?? membership // the first stream joins the group
    stream.on('error', error => { if (membership === mine && !left) fail(error) })
    stream.on('data', record => {
      if (membership !== mine) return
      queue.push(record)
      wake()
    })
    return stream
  }
  let current = null
  const renew = async joined => {
    const old = await current
    const fresh = await open(joined)
    await old.close()
    return fresh
  }
  consumer.on('consumer:group:rebalance', () => {
    notes.rebalancing(consumer.memberId)
    ;[membership, queue] = [null, []]
  })
  consumer.on('consumer:group:join', joined => {
    const partitions = joined.assignments.filter(one => one.topic === topic).flatMap(one => one.partitions)
    notes.assigned(partitions, joined.generationId, joined.memberId)
    ;[membership, queue] = [joined, []]
    if (current !== null && !left) {
      current = renew(joined)
      current.catch(fail)
    }
  })
  const handOut = async read => {
    const found = byPartition(read)
    if (isMember()) {
      for (const [partition, some] of found) {
        notes.consumed(partition, some.map(one => [Number(one.offset), String(one.value)]))
      }
    }
    for (const [partition, some] of found) {
      if (isMember()) await commit(consumer, notes, partition, some.at(-1).offset)
    }
  }
  const handOutAll = async () => {
    while (!left) {
      if (queue.length === 0) await new Promise(resolve => { wake = resolve })
      if (left) return
      busy = handOut(queue.splice(0))
      await busy
    }
  }
  current = Promise.resolve(await open(null))
  await Promise.race([handOutAll(), failed, notes.leaving])
  left = true
  await busy
  notes.leave()
  await consumer.close(true)
}

function byPartition (read) {
  const found = new Map()
  for (const one of read) {
    if (!found.has(one.partition)) found.set(one.partition, [])
    found.get(one.partition).push(one)
  }
  return found
}

async function commit (consumer, notes, partition, offset) {
  const begun = notes.begin()
  try {
    await consumer.commit({ offsets: [{ topic: notes.settings.topic, partition, offset, leaderEpoch: 0 }] })
  } catch (error) {
    assert(JSON.stringify(flat(error)).match(/REBALANCE_IN_PROGRESS|UNKNOWN_MEMBER_ID|ILLEGAL_GENERATION/), error)
    return
  }
  notes.committed(begun, partition, Number(offset))
}

await main({ cluster, topics, configs, acks, idempotent, large, offsets, deleted, directories, operated }, write, member)
