import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DeletedRecords;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.ListConfigResourcesOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.ReplicaInfo;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.quota.ClientQuotaFilterComponent;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * The Java client's way through a node: Admin, producers with every codec and acks, a consumer by
 * assignment. Prints one line per stop and ends with "tour complete"; any surprise is an exception.
 * Usage: ClientTour HOST:PORT
 */
public final class ClientTour {
    private static final int EVENTS = 500;
    private static final long FIRST_TIMESTAMP = 1_700_000_000_000L;
    private static final Duration POLL = Duration.ofMillis(200);

    private final String address;
    private final Admin admin;

    private ClientTour(String address, Admin admin) {
        this.address = address;
        this.admin = admin;
    }

    public static void main(String[] arguments) throws Exception {
        String address = arguments[0];
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", address))) {
            ClientTour tour = new ClientTour(address, admin);
            tour.cluster();
            tour.topics();
            tour.configs();
            for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
                tour.codec(codec);
            }
            for (String acks : List.of("0", "1", "all")) {
                tour.acks(acks);
            }
            tour.tooLarge();
            tour.offsets();
            tour.deleted();
            tour.directories();
            tour.operated();
        }
        System.out.println("tour complete");
    }

    private void cluster() throws Exception {
        DescribeClusterResult cluster = admin.describeCluster();
        same(1, cluster.nodes().get().size(), "nodes");
        same(address, cluster.nodes().get().iterator().next().host() + ":"
            + cluster.nodes().get().iterator().next().port(), "address");
        same(22, cluster.clusterId().get().length(), "length of the cluster id");
        check(cluster.controller().get().id() >= 0, "a controller");
        check(!admin.describeFeatures().featureMetadata().get().finalizedFeatures().isEmpty(), "features");
        done("cluster");
    }

    private void topics() throws Exception {
        create("tour-topics", 2, Map.of("retention.ms", "3600000"));
        fails(TopicExistsException.class,
            admin.createTopics(Set.of(new NewTopic("tour-topics", 1, (short) 1))).all());
        admin.createPartitions(Map.of("tour-topics", NewPartitions.increaseTo(5))).all().get();
        awaitPartitions("tour-topics", 5);
        TopicDescription byName = admin.describeTopics(Set.of("tour-topics")).allTopicNames().get()
            .get("tour-topics");
        Uuid id = byName.topicId();
        TopicDescription byId = admin.describeTopics(TopicCollection.ofTopicIds(Set.of(id)))
            .allTopicIds().get().get(id);
        same("tour-topics", byId.name(), "name by id");
        admin.deleteTopics(Set.of("tour-topics")).all().get();
        await("the topic is gone", () -> !admin.listTopics().names().get().contains("tour-topics"));
        fails(UnknownTopicOrPartitionException.class, admin.deleteTopics(Set.of("tour-topics")).all());
        done("topics");
    }

    private void configs() throws Exception {
        create("tour-configs", 1, Map.of("segment.bytes", "2000000"));
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, "tour-configs");
        same("2000000", config(topic).get("segment.bytes").value(), "segment.bytes");
        same(ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, config(topic).get("segment.bytes").source(), "source");
        same(ConfigEntry.ConfigSource.DEFAULT_CONFIG, config(topic).get("retention.ms").source(), "source");
        alter(topic, "max.message.bytes", "3000", AlterConfigOp.OpType.SET);
        await("max.message.bytes", () -> "3000".equals(config(topic).get("max.message.bytes").value()));
        alter(topic, "segment.bytes", null, AlterConfigOp.OpType.DELETE);
        await("segment.bytes", () -> "1073741824".equals(config(topic).get("segment.bytes").value()));
        fails(InvalidConfigurationException.class, admin.incrementalAlterConfigs(Map.of(topic, List.of(
            new AlterConfigOp(new ConfigEntry("cleanup.policy", "burn"), AlterConfigOp.OpType.SET)))).all());
        String id = String.valueOf(admin.describeCluster().controller().get().id());
        ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, id);
        alter(broker, "log.retention.ms", "7654321", AlterConfigOp.OpType.SET);
        await("log.retention.ms", () -> "7654321".equals(config(broker).get("log.retention.ms").value()));
        alter(broker, "log.retention.ms", null, AlterConfigOp.OpType.DELETE);
        done("configs");
    }

    private void codec(String codec) throws Exception {
        String topic = "tour-" + codec;
        create(topic, 1, Map.of());
        Map<String, Object> settings = new HashMap<>(Map.of("compression.type", codec, "linger.ms", 5));
        settings.put("enable.idempotence", true);
        List<Long> offsets = produce(topic, settings);
        for (int number = 0; number < EVENTS; number++) {
            same((long) number, offsets.get(number), "offset");
        }
        readBack(topic);
        done("codec " + codec);
    }

    private void acks(String acks) throws Exception {
        String topic = "tour-acks-" + acks;
        create(topic, 1, Map.of());
        produce(topic, Map.of("acks", acks, "enable.idempotence", false));
        readBack(topic);
        done("acks " + acks);
    }

    private void tooLarge() throws Exception {
        create("tour-large", 1, Map.of("max.message.bytes", "2000"));
        try (Producer<byte[], byte[]> producer = producer(Map.of())) {
            fails(RecordTooLargeException.class,
                producer.send(new ProducerRecord<>("tour-large", 0, null, new byte[5000])));
        }
        done("too large");
    }

    private void offsets() throws Exception {
        create("tour-offsets", 2, Map.of());
        produce("tour-offsets", Map.of("batch.size", 600));
        TopicPartition partition = new TopicPartition("tour-offsets", 0);
        same(0L, listed(partition, OffsetSpec.earliest()).offset(), "earliest");
        same((long) EVENTS, listed(partition, OffsetSpec.latest()).offset(), "latest");
        same(EVENTS - 1L, listed(partition, OffsetSpec.maxTimestamp()).offset(), "max timestamp");
        same(77L, listed(partition, OffsetSpec.forTimestamp(FIRST_TIMESTAMP + 77)).offset(), "by time");
        try (Consumer<byte[], byte[]> consumer = consumer()) {
            Map<TopicPartition, OffsetAndTimestamp> found =
                consumer.offsetsForTimes(Map.of(partition, FIRST_TIMESTAMP + 123));
            same(123L, found.get(partition).offset(), "offsetsForTimes");
            same(FIRST_TIMESTAMP + 123, found.get(partition).timestamp(), "timestamp");
            same(0L, consumer.beginningOffsets(Set.of(partition)).get(partition), "beginning");
            same((long) EVENTS, consumer.endOffsets(Set.of(partition)).get(partition), "end");
            consumer.assign(Set.of(partition));
            consumer.seek(partition, 490);
            List<ConsumerRecord<byte[], byte[]>> tail = read(consumer, 10);
            same(490L, tail.get(0).offset(), "seek");
            consumer.seekToBeginning(Set.of(partition));
            same(0L, read(consumer, EVENTS).get(0).offset(), "seekToBeginning");
            consumer.seekToEnd(Set.of(partition));
            same((long) EVENTS, consumer.position(partition), "seekToEnd");
        }
        done("offsets");
    }

    private void deleted() throws Exception {
        create("tour-deleted", 1, Map.of());
        produce("tour-deleted", Map.of());
        TopicPartition partition = new TopicPartition("tour-deleted", 0);
        DeletedRecords done = admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(120)))
            .lowWatermarks().get(partition).get();
        same(120L, done.lowWatermark(), "low watermark");
        fails(OffsetOutOfRangeException.class,
            admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(EVENTS + 1))).all());
        same(120L, listed(partition, OffsetSpec.earliest()).offset(), "earliest");
        try (Consumer<byte[], byte[]> consumer = consumer()) {
            consumer.assign(Set.of(partition));
            consumer.seekToBeginning(Set.of(partition));
            same(120L, read(consumer, EVENTS - 120).get(0).offset(), "first record left");
        }
        done("deleted");
    }

    private void directories() throws Exception {
        create("tour-directories", 2, Map.of());
        produce("tour-directories", Map.of());
        int id = admin.describeCluster().controller().get().id();
        Collection<LogDirDescription> all =
            admin.describeLogDirs(Set.of(id)).allDescriptions().get().get(id).values();
        same(1, all.size(), "directories");
        LogDirDescription directory = all.iterator().next();
        check(directory.totalBytes().getAsLong() > directory.usableBytes().getAsLong(), "room");
        Map<TopicPartition, ReplicaInfo> replicas = directory.replicaInfos();
        check(replicas.get(new TopicPartition("tour-directories", 0)).size() > EVENTS, "size");
        same(0L, replicas.get(new TopicPartition("tour-directories", 1)).size(), "size of an empty partition");
        done("directories");
    }

    private void operated() throws Exception {
        create("tour-operated", 1, Map.of());
        produce("tour-operated", Map.of("enable.idempotence", true));
        TopicPartition partition = new TopicPartition("tour-operated", 0);
        int id = admin.describeCluster().controller().get().id();
        same(id, admin.describeMetadataQuorum().quorumInfo().get().leaderId(), "leader of the quorum");
        admin.alterPartitionReassignments(
            Map.of(partition, Optional.of(new NewPartitionReassignment(List.of(id))))).all().get();
        check(admin.listPartitionReassignments().reassignments().get().isEmpty(), "no reassignments");
        Optional<Throwable> refused =
            admin.electLeaders(ElectionType.PREFERRED, Set.of(partition)).partitions().get().get(partition);
        check(refused.get() instanceof ElectionNotNeededException, "no election");
        same(1, admin.describeProducers(Set.of(partition)).partitionResult(partition).get()
            .activeProducers().size(), "producers");
        check(admin.listConfigResources(Set.of(ConfigResource.Type.TOPIC), new ListConfigResourcesOptions())
            .all().get().contains(new ConfigResource(ConfigResource.Type.TOPIC, "tour-operated")), "resources");
        ClientQuotaEntity user = new ClientQuotaEntity(Map.of(ClientQuotaEntity.USER, "tour"));
        for (Double rate : new Double[] {123456.0, null}) {
            admin.alterClientQuotas(Set.of(new ClientQuotaAlteration(user,
                Set.of(new ClientQuotaAlteration.Op("producer_byte_rate", rate))))).all().get();
            Map<ClientQuotaEntity, Map<String, Double>> wanted =
                rate == null ? Map.of() : Map.of(user, Map.of("producer_byte_rate", rate));
            await("quota", () -> wanted.equals(
                admin.describeClientQuotas(ClientQuotaFilter.containsOnly(List.of(
                    ClientQuotaFilterComponent.ofEntity(ClientQuotaEntity.USER, "tour")))).entities().get()));
        }
        done("operated");
    }

    private List<Long> produce(String topic, Map<String, Object> settings) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (Producer<byte[], byte[]> producer = producer(settings)) {
            for (int number = 0; number < EVENTS; number++) {
                ProducerRecord<byte[], byte[]> event =
                    new ProducerRecord<>(topic, 0, FIRST_TIMESTAMP + number, key(number), value(number));
                event.headers().add("number", bytes(Integer.toString(number))).add("null", null);
                sent.add(producer.send(event));
            }
        }
        List<Long> offsets = new ArrayList<>();
        for (Future<RecordMetadata> one : sent) {
            offsets.add(one.get().offset());
        }
        return offsets;
    }

    private void readBack(String topic) {
        try (Consumer<byte[], byte[]> consumer = consumer()) {
            TopicPartition partition = new TopicPartition(topic, 0);
            consumer.assign(Set.of(partition));
            consumer.seekToBeginning(Set.of(partition));
            List<ConsumerRecord<byte[], byte[]>> events = read(consumer, EVENTS);
            for (int number = 0; number < EVENTS; number++) {
                ConsumerRecord<byte[], byte[]> event = events.get(number);
                same((long) number, event.offset(), "offset");
                same(text(key(number)), text(event.key()), "key");
                same(text(value(number)), text(event.value()), "value");
                same(FIRST_TIMESTAMP + number, event.timestamp(), "timestamp");
                same(Optional.of(0), event.leaderEpoch(), "leader epoch");
                Header[] headers = event.headers().toArray();
                same(2, headers.length, "headers");
                same(Integer.toString(number), text(headers[0].value()), "header");
                check(headers[1].key().equals("null") && headers[1].value() == null, "null header");
            }
        }
    }

    private static List<ConsumerRecord<byte[], byte[]>> read(Consumer<byte[], byte[]> consumer, int count) {
        List<ConsumerRecord<byte[], byte[]>> found = new ArrayList<>();
        long deadline = System.nanoTime() + Duration.ofSeconds(30).toNanos();
        while (found.size() < count) {
            check(System.nanoTime() < deadline, "events in time, got " + found.size() + " of " + count);
            consumer.poll(POLL).forEach(found::add);
        }
        same(count, found.size(), "events");
        return found;
    }

    private Producer<byte[], byte[]> producer(Map<String, Object> settings) {
        Map<String, Object> all = new HashMap<>(settings);
        all.put("bootstrap.servers", address);
        return new KafkaProducer<>(all, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private Consumer<byte[], byte[]> consumer() {
        Map<String, Object> settings = Map.of("bootstrap.servers", address, "enable.auto.commit", false);
        return new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private void create(String topic, int partitions, Map<String, String> configs) throws Exception {
        admin.createTopics(Set.of(new NewTopic(topic, partitions, (short) 1).configs(configs))).all().get();
        awaitPartitions(topic, partitions);
    }

    private void awaitPartitions(String topic, int partitions) throws Exception {
        Set<Integer> wanted = new TreeSet<>();
        for (int number = 0; number < partitions; number++) {
            wanted.add(number);
        }
        await(partitions + " partitions of " + topic, () -> {
            if (!admin.listTopics().names().get().contains(topic)) {
                return false;
            }
            Set<Integer> led = new TreeSet<>();
            admin.describeTopics(Set.of(topic)).allTopicNames().get().get(topic).partitions().forEach(one -> {
                if (one.leader() != null) {
                    led.add(one.partition());
                }
            });
            return led.equals(wanted);
        });
    }

    private Map<String, ConfigEntry> config(ConfigResource resource) throws Exception {
        Config config = admin.describeConfigs(Set.of(resource)).all().get().get(resource);
        Map<String, ConfigEntry> entries = new HashMap<>();
        config.entries().forEach(entry -> entries.put(entry.name(), entry));
        return entries;
    }

    private void alter(ConfigResource resource, String name, String value, AlterConfigOp.OpType type)
        throws Exception {
        Collection<AlterConfigOp> operations = List.of(new AlterConfigOp(new ConfigEntry(name, value), type));
        admin.incrementalAlterConfigs(Map.of(resource, operations)).all().get();
    }

    private ListOffsetsResultInfo listed(TopicPartition partition, OffsetSpec spec) throws Exception {
        return admin.listOffsets(Map.of(partition, spec)).partitionResult(partition).get();
    }

    private interface Condition {
        boolean holds() throws Exception;
    }

    private static void await(String what, Condition condition) throws Exception {
        long deadline = System.nanoTime() + Duration.ofSeconds(30).toNanos();
        while (!condition.holds()) {
            check(System.nanoTime() < deadline, what);
            Thread.sleep(20);
        }
    }

    private static void fails(Class<? extends Exception> kind, Future<?> future) throws Exception {
        try {
            future.get();
        } catch (ExecutionException failure) {
            check(kind.isInstance(failure.getCause()), "expected " + kind + ", got " + failure.getCause());
            return;
        }
        throw new AssertionError("expected " + kind + ", got an answer");
    }

    private static void same(Object expected, Object actual, String what) {
        check(Objects.equals(expected, actual), what + ": expected " + expected + ", got " + actual);
    }

    private static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    private static void done(String stop) {
        System.out.println("ok " + stop);
    }

    private static byte[] key(int number) {
        return bytes("key-" + number % 10);
    }

    private static byte[] value(int number) {
        return bytes(("value-" + number + " ").repeat(10));
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String text(byte[] bytes) {
        return new String(bytes, StandardCharsets.UTF_8);
    }
}
