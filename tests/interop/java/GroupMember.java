import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * The Java consumer as a member of a group: {@code member HOST:PORT SETTINGS}, until standard input ends;
 * {@code loop HOST:PORT SETTINGS} is a read-process-write loop.
 * What it prints is described in tests/interop/clients/member.py.
 */
public final class GroupMember {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Notes notes;
    private final JsonNode settings;
    private final KafkaConsumer<String, String> consumer;

    private GroupMember(String address, Notes notes) {
        this.notes = notes;
        this.settings = notes.settings;
        this.consumer = new KafkaConsumer<>(properties(address, settings), new StringDeserializer(), new StringDeserializer());
    }

    public static void main(String[] arguments) throws Exception {
        Notes notes = new Notes(JSON.readTree(arguments[2]));
        if (arguments[0].equals("loop")) {
            new GroupLoop(arguments[1], notes).run();
        } else {
            new GroupMember(arguments[1], notes).run();
        }
    }

    static Map<String, Object> properties(String address, JsonNode settings) {
        Map<String, Object> properties = new HashMap<>(Map.of("bootstrap.servers", address,
            "group.id", settings.get("group").asText(), "auto.offset.reset", "earliest",
            "enable.auto.commit", false, "isolation.level", settings.get("isolation").asText(),
            "fetch.max.wait.ms", 50, "group.protocol", settings.get("protocol").asText()));
        String assignor = settings.get("assignor").asText();
        if (settings.get("protocol").asText().equals("consumer")) {
            properties.put("group.remote.assignor", assignor);
        } else {
            String name =
                    switch (assignor) {
                        case "range" -> "RangeAssignor";
                        case "sticky" -> "StickyAssignor";
                        default -> "CooperativeStickyAssignor";
                    };
            properties.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer." + name);
            properties.put("session.timeout.ms", settings.get("session_ms").asInt());
            properties.put("heartbeat.interval.ms", settings.get("heartbeat_ms").asInt());
        }
        if (!settings.get("instance").isNull()) {
            properties.put("group.instance.id", settings.get("instance").asText());
        }
        return properties;
    }

    private void run() {
        try (consumer) {
            consumer.subscribe(List.of(settings.get("topic").asText()), notes.listener(consumer));
            while (!notes.leaving.get()) {
                ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(100));
                if (!records.isEmpty()) {
                    commit(notes.consumed(records, null));
                }
            }
        }
    }

    private void commit(Map<TopicPartition, OffsetAndMetadata> offsets) {
        long begun = Notes.now();
        try {
            consumer.commitSync(offsets);
        } catch (CommitFailedException | RebalanceInProgressException rebalancing) {
            return;
        }
        notes.committed(begun, offsets, null);
    }
}
