import java.time.Duration;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * The Java consumer with a regular expression of the broker (KIP-848): {@code PatternMember HOST:PORT
 * GROUP PATTERN COUNT} reads COUNT records and prints their topics, sorted, each once.
 */
public final class PatternMember {
    public static void main(String[] arguments) {
        Map<String, Object> settings = Map.of(
            "bootstrap.servers", arguments[0],
            "group.id", arguments[1],
            "group.protocol", "consumer",
            "auto.offset.reset", "earliest");
        Set<String> topics = new TreeSet<>();
        int left = Integer.parseInt(arguments[3]);
        try (KafkaConsumer<String, String> consumer =
                 new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(new SubscriptionPattern(arguments[2]));
            while (left > 0) {
                for (ConsumerRecord<String, String> each : consumer.poll(Duration.ofMillis(100))) {
                    topics.add(each.topic());
                    left--;
                }
            }
        }
        topics.forEach(System.out::println);
    }
}
