import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.OutputStream;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** Prints the events of one member of a group (see tests/interop/clients/member.py). */
final class Notes {
    private static final ObjectMapper JSON = new ObjectMapper();

    final JsonNode settings;
    /** Set when standard input has ended. */
    final AtomicBoolean leaving = new AtomicBoolean();

    Notes(JsonNode settings) {
        this.settings = settings;
        Thread reader = new Thread(() -> {
            try {
                System.in.transferTo(OutputStream.nullOutputStream());
            } catch (IOException closed) {
                // The end, too.
            }
            leaving.set(true);
        });
        reader.setDaemon(true);
        reader.start();
    }

    /** Microseconds of the machine's clock, which all programs read. */
    static long now() {
        return ChronoUnit.MICROS.between(Instant.EPOCH, Instant.now());
    }

    ObjectNode event(String name) {
        return JSON.createObjectNode().put("event", name).put("client", settings.get("client").asText())
            .put("at", now());
    }

    static synchronized void print(ObjectNode event) {
        System.out.println(event);
        System.out.flush();
    }

    /** Records were handed out; what is to be committed. */
    Map<TopicPartition, OffsetAndMetadata> consumed(ConsumerRecords<String, String> records, String transaction) {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (TopicPartition where : records.partitions()) {
            ObjectNode event = event("consumed").put("topic", where.topic()).put("partition", where.partition());
            event.put("group", settings.get("group").asText()).put("isolation", settings.get("isolation").asText());
            if (transaction != null) {
                event.put("transaction", transaction);
            }
            ArrayNode told = event.putArray("records");
            for (ConsumerRecord<String, String> record : records.records(where)) {
                told.addArray().add(record.offset()).add(record.value());
                offsets.put(where, new OffsetAndMetadata(record.offset() + 1));
            }
            print(event);
        }
        return offsets;
    }

    void committed(long begun, Map<TopicPartition, OffsetAndMetadata> offsets, String transaction) {
        ObjectNode event = event("committed").put("group", settings.get("group").asText()).put("begun", begun);
        if (transaction != null) {
            event.put("transaction", transaction);
        }
        ArrayNode told = event.putArray("offsets");
        offsets.forEach((where, offset) ->
            told.addArray().add(where.topic()).add(where.partition()).add(offset.offset()));
        print(event);
    }

    ConsumerRebalanceListener listener(KafkaConsumer<String, String> consumer) {
        return new ConsumerRebalanceListener() {
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
        };
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
