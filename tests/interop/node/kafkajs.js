// kafkajs: administration, and producers with every codec and acks.
import assert from 'node:assert/strict'
import kafkajs from 'kafkajs'
import lz4 from 'lz4-napi'
import snappy from 'snappy'
import * as zstd from '@bokuweb/zstd-wasm'
import { EVENTS, FIRST_TIMESTAMP, events, main, until } from './client.js'

const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, Partitioners, logLevel } = kafkajs
const ACKS = { 0: 0, 1: 1, all: -1 }

await zstd.init()
CompressionCodecs[CompressionTypes.Snappy] = () => ({
  compress: encoder => snappy.compress(encoder.buffer),
  decompress: buffer => snappy.uncompress(buffer)
})
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async encoder => lz4.compressFrameSync(encoder.buffer),
  decompress: async buffer => lz4.decompressFrameSync(buffer)
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => Buffer.from(zstd.compress(encoder.buffer)),
  decompress: async buffer => Buffer.from(zstd.decompress(buffer))
})
const CODECS = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD
}

const connect = address => new Kafka({ brokers: [address], logLevel: logLevel.NOTHING, retry: { initialRetryTime: 20, retries: 6 } })

async function using (client, work) {
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.disconnect()
  }
}

const asAdmin = (address, work) => using(connect(address).admin(), work)

function asProducer (address, settings, work) {
  return using(connect(address).producer({ createPartitioner: Partitioners.DefaultPartitioner, ...settings }), work)
}

async function create (admin, topic, partitions = 1, configs = {}) {
  const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }))
  return admin.createTopics({ topics: [{ topic, numPartitions: partitions, replicationFactor: 1, configEntries }] })
}

function messages (records) {
  return records.map(({ key, value, headers, timestamp }) => {
    const grouped = {}
    for (const [name, header] of headers) {
      (grouped[name] ??= []).push(header)
    }
    return { key, value, headers: grouped, partition: 0, timestamp: String(timestamp) }
  })
}

// What can be retried was, before it is an error.
const fails = (type, work) =>
  assert.rejects(work, error => (error.errors?.[0] ?? error.cause ?? error).type === type)

async function cluster (address) {
  await asAdmin(address, async admin => {
    const { brokers, controller, clusterId } = await admin.describeCluster()
    assert.deepEqual(brokers.map(one => `${one.host}:${one.port}`), [address])
    assert.equal(controller, brokers[0].nodeId)
    assert.equal(clusterId.length, 22)
  })
}

async function topics (address) {
  const topic = 'kafkajs-topics'
  await asAdmin(address, async admin => {
    assert(await create(admin, topic, 2, { 'retention.ms': '3600000' }))
    assert.equal(await create(admin, topic), false)
    await fails('INVALID_TOPIC_EXCEPTION', () => create(admin, 'bad name'))
    await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] })
    await until('five partitions', async () => {
      const [about] = (await admin.fetchTopicMetadata({ topics: [topic] })).topics
      return about.partitions.filter(one => one.leader >= 0).length === 5
    })
    await fails('INVALID_PARTITIONS', () => admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] }))
    await admin.deleteTopics({ topics: [topic] })
    await until('the topic is gone', async () => !(await admin.listTopics()).includes(topic))
    await fails('UNKNOWN_TOPIC_OR_PARTITION', () => admin.deleteTopics({ topics: [topic] }))
  })
}

async function configs (address) {
  const topic = 'kafkajs-configs'
  await asAdmin(address, async admin => {
    await create(admin, topic, 1, { 'segment.bytes': '2000000' })
    const described = async () => {
      const resources = [{ type: ConfigResourceTypes.TOPIC, name: topic }]
      const answer = await admin.describeConfigs({ resources, includeSynonyms: true })
      return Object.fromEntries(answer.resources[0].configEntries.map(one => [one.configName, one.configValue]))
    }
    const alter = changes => admin.alterConfigs({
      validateOnly: false,
      resources: [{
        type: ConfigResourceTypes.TOPIC,
        name: topic,
        configEntries: Object.entries(changes).map(([name, value]) => ({ name, value }))
      }]
    })
    assert.equal((await described())['segment.bytes'], '2000000')
    await alter({ 'max.message.bytes': '3000', 'cleanup.policy': 'compact' })
    await until('what is set, and that the rest is not', async () => {
      const now = await described()
      return now['max.message.bytes'] === '3000' && now['segment.bytes'] === '1073741824'
    })
    await fails('INVALID_CONFIG', () => alter({ 'cleanup.policy': 'burn' }))
  })
}

const highest = async (admin, topic) => (await admin.fetchTopicOffsets(topic))[0].high

async function acks (address) {
  await asAdmin(address, async admin => {
    for (const [name, wanted] of Object.entries(ACKS)) {
      const topic = `kafkajs-acks-${name}`
      await create(admin, topic)
      await asProducer(address, {}, producer => producer.send({ topic, acks: wanted, messages: messages(events) }))
      await until(`records with acks=${name}`, async () => (await highest(admin, topic)) === String(EVENTS))
    }
  })
}

async function idempotent (address) {
  const topic = 'kafkajs-idempotent'
  await asAdmin(address, admin => create(admin, topic))
  await asProducer(address, { idempotent: true, maxInFlightRequests: 1 }, async producer => {
    for (let first = 0; first < EVENTS; first += 50) {
      const sent = await producer.send({ topic, messages: messages(events.slice(first, first + 50)) })
      assert.deepEqual([sent[0].errorCode, sent[0].baseOffset], [0, String(first)])
    }
  })
}

async function large (address) {
  const topic = 'kafkajs-large'
  await asAdmin(address, admin => create(admin, topic, 1, { 'max.message.bytes': '2000' }))
  await asProducer(address, {}, producer =>
    fails('MESSAGE_TOO_LARGE', () => producer.send({ topic, messages: [{ value: Buffer.alloc(5000) }] })))
}

async function offsets (address) {
  const topic = 'kafkajs-offsets'
  await asAdmin(address, async admin => {
    await create(admin, topic)
    await asProducer(address, {}, async producer => {
      for (let first = 0; first < EVENTS; first += 7) {
        await producer.send({ topic, messages: messages(events.slice(first, first + 7)) })
      }
    })
    const [{ high, low, offset }] = await admin.fetchTopicOffsets(topic)
    assert.deepEqual([low, high, offset], ['0', String(EVENTS), String(EVENTS)])
    for (const number of [0, 77, EVENTS - 1]) {
      const [at] = await admin.fetchTopicOffsetsByTimestamp(topic, FIRST_TIMESTAMP + number)
      assert.equal(at.offset, String(number))
    }
  })
}

async function deleted (address) {
  const topic = 'kafkajs-deleted'
  await asAdmin(address, async admin => {
    await create(admin, topic)
    await asProducer(address, {}, producer => producer.send({ topic, messages: messages(events) }))
    await admin.fetchTopicOffsets(topic) // what it knows of the topic's leaders it learns here
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '120' }] })
    assert.equal((await admin.fetchTopicOffsets(topic))[0].low, '120')
  })
}

async function operated (address) {
  const topic = 'kafkajs-operated'
  await asAdmin(address, async admin => {
    await create(admin, topic)
    const { controller } = await admin.describeCluster()
    const partitionAssignment = [{ partition: 0, replicas: [controller] }]
    await admin.alterPartitionReassignments({ topics: [{ topic, partitionAssignment }] })
    const { topics: moving } = await admin.listPartitionReassignments({ topics: [{ topic, partitions: [0] }] })
    assert.deepEqual(moving, [])
  })
}

async function write (address, topic, codec, records) {
  await asProducer(address, {}, async producer => {
    const [sent] = await producer.send({ topic, compression: CODECS[codec], messages: messages(records) })
    assert.deepEqual([sent.errorCode, sent.baseOffset], [0, '0'])
  })
}

// Commits by `consumer.commitOffsets` would not do here. While the client stops it resolves without a
// commit, and it wraps UNKNOWN_MEMBER_ID as an error that ends the consumer for good (kafkajs 2.2.4,
// consumer/runner.js, commitOffsets, and retry/index.js). `commitOffsetsIfNecessary` throws what the
// coordinator said, and the client joins again.
async function member (address, notes) {
  const { group, topic, session_ms: sessionTimeout, heartbeat_ms: heartbeatInterval, isolation } = notes.settings
  let generation
  const client = new Kafka({
    brokers: [address],
    retry: { initialRetryTime: 20, retries: 30, maxRetryTime: 500 },
    logLevel: logLevel.DEBUG, // only the log tells the generation
    logCreator: () => ({ log }) => {
      if (log.message === 'Received assignment') generation = log.generationId
    }
  })
  const consumer = client.consumer({
    groupId: group,
    sessionTimeout,
    heartbeatInterval,
    rebalanceTimeout: 10_000,
    maxWaitTimeInMs: 50,
    readUncommitted: isolation === 'read_uncommitted'
  })
  consumer.on(consumer.events.REBALANCING, ({ payload }) => notes.rebalancing(payload.memberId))
  consumer.on(consumer.events.GROUP_JOIN, ({ payload: { memberAssignment, memberId } }) =>
    notes.assigned(memberAssignment[topic] ?? [], generation, memberId))
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  const handOut = async (partition, found, { resolveOffset, commitOffsetsIfNecessary, heartbeat }) => {
    notes.consumed(partition, found.map(one => [Number(one.offset), String(one.value)]))
    const { offset } = found.at(-1)
    resolveOffset(offset)
    const [begun, next] = [notes.begin(), String(BigInt(offset) + 1n)]
    await commitOffsetsIfNecessary({ topics: [{ topic, partitions: [{ partition, offset: next }] }] })
    notes.committed(begun, partition, Number(next))
    await heartbeat()
  }
  let [left, busy] = [false, Promise.resolve()]
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    eachBatch: async ({ batch: { messages: found, partition }, isStale, ...rest }) => {
      if (left || isStale() || found.length === 0) return
      const work = handOut(partition, found, rest)
      busy = work.catch(() => {})
      await work
    }
  })
  await notes.leaving
  left = true
  await busy
  notes.leave()
  await consumer.disconnect()
}

await main({ cluster, topics, configs, acks, idempotent, large, offsets, deleted, operated }, write, member)
