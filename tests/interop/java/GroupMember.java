import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * The Java consumer as a member of a group: {@code member HOST:PORT SETTINGS}, until standard input ends.
 * What it prints is described in tests/interop/clients/member.py.
 */
public final class GroupMember {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final JsonNode settings;
    private final KafkaConsumer<String, String> consumer;

    private GroupMember(String address, JsonNode settings) {
        this.settings = settings;
        this.consumer = new KafkaConsumer<>(properties(address, settings), new StringDeserializer(), new StringDeserializer());
    }

    public static void main(String[] arguments) throws Exception {
        AtomicBoolean leaving = new AtomicBoolean();
        Thread reader = new Thread(() -> {
            try {
                System.in.transferTo(java.io.OutputStream.nullOutputStream());
            } catch (IOException closed) {
                // The end, too.
            }
            leaving.set(true);
        });
        reader.setDaemon(true);
        reader.start();
        new GroupMember(arguments[1], JSON.readTree(arguments[2])).run(leaving);
    }

    private static Map<String, Object> properties(String address, JsonNode settings) {
        Map<String, Object> properties = new HashMap<>(Map.of("bootstrap.servers", address,
            "group.id", settings.get("group").asText(), "auto.offset.reset", "earliest",
            "enable.auto.commit", false, "isolation.level", settings.get("isolation").asText(),
            "fetch.max.wait.ms", 50, "group.protocol", settings.get("protocol").asText()));
        String assignor = settings.get("assignor").asText();
        if (settings.get("protocol").asText().equals("consumer")) {
            properties.put("group.remote.assignor", assignor);
        } else {
            String name = assignor.equals("range") ? "RangeAssignor" : "CooperativeStickyAssignor";
            properties.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer." + name);
            properties.put("session.timeout.ms", settings.get("session_ms").asInt());
            properties.put("heartbeat.interval.ms", settings.get("heartbeat_ms").asInt());
        }
        if (!settings.get("instance").isNull()) {
            properties.put("group.instance.id", settings.get("instance").asText());
        }
        return properties;
    }

    private void run(AtomicBoolean leaving) throws IOException {
        try (consumer) {
            consumer.subscribe(List.of(settings.get("topic").asText()), new Rebalances());
            while (!leaving.get()) {
                ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(100));
                if (!records.isEmpty()) {
                    commit(handOut(records));
                }
            }
        }
    }

    private Map<TopicPartition, OffsetAndMetadata> handOut(ConsumerRecords<String, String> records) {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (TopicPartition where : records.partitions()) {
            ObjectNode event = event("consumed").put("topic", where.topic()).put("partition", where.partition());
            event.put("group", settings.get("group").asText()).put("isolation", settings.get("isolation").asText());
            ArrayNode told = event.putArray("records");
            for (ConsumerRecord<String, String> record : records.records(where)) {
                told.addArray().add(record.offset()).add(record.value());
                offsets.put(where, new OffsetAndMetadata(record.offset() + 1));
            }
            print(event);
        }
        return offsets;
    }

    private void commit(Map<TopicPartition, OffsetAndMetadata> offsets) {
        long begun = now();
        try {
            consumer.commitSync(offsets);
        } catch (CommitFailedException | RebalanceInProgressException rebalancing) {
            return;
        }
        ObjectNode event = event("committed").put("group", settings.get("group").asText()).put("begun", begun);
        ArrayNode told = event.putArray("offsets");
        offsets.forEach((where, offset) ->
            told.addArray().add(where.topic()).add(where.partition()).add(offset.offset()));
        print(event);
    }

    private static long now() {
        return ChronoUnit.MICROS.between(Instant.EPOCH, Instant.now());
    }

    private ObjectNode event(String name) {
        return JSON.createObjectNode().put("event", name).put("client", settings.get("client").asText())
            .put("at", now());
    }

    private static synchronized void print(ObjectNode event) {
        System.out.println(event);
        System.out.flush();
    }

    private final class Rebalances implements ConsumerRebalanceListener {
        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            tell("assigned", partitions, consumer.groupMetadata().generationId());
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            tell("revoked", partitions, -1);
        }

        @Override
        public void onPartitionsLost(Collection<TopicPartition> partitions) {
            tell("lost", partitions, -1);
        }

        private void tell(String name, Collection<TopicPartition> partitions, int generation) {
            ObjectNode event = event(name).put("group", settings.get("group").asText());
            ArrayNode told = event.putArray("partitions");
            for (TopicPartition where : partitions) {
                told.addArray().add(where.topic()).add(where.partition());
            }
            if (generation >= 0) {
                event.put("generation", generation);
            }
            print(event);
        }
    }
}
