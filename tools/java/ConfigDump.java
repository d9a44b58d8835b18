import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.StringReader;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import kafka.server.KafkaConfig;
import org.apache.kafka.common.Endpoint;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.utils.AppInfoParser;
import org.apache.kafka.coordinator.group.GroupConfig;
import org.apache.kafka.server.config.AbstractKafkaConfig;
import org.apache.kafka.server.config.DynamicBrokerConfig;
import org.apache.kafka.server.config.QuotaConfig;
import org.apache.kafka.server.config.ServerTopicConfigSynonyms;
import org.apache.kafka.server.metrics.ClientMetricsConfigs;
import org.apache.kafka.storage.internals.log.LogConfig;
import scala.jdk.javaapi.CollectionConverters;

/**
 * Asks the classes of Apache Kafka about its configs. Run with Kafka's jars on the class path:
 * {@code java -cp 'libs/*' ConfigDump.java COMMAND}.
 *
 * <ul>
 *   <li>{@code dump}: all definitions, dynamic sets and synonyms as one JSON object.
 *   <li>{@code ask}: one JSON question a line on standard input, one JSON answer a line:
 *       {"value": {"kind", "name", "value"}} parses and checks one value,
 *       {"broker": {..}} builds a broker config of a property map,
 *       {"topic": {"configs": {..}, "broker": {..}}} checks topic configs on such a broker,
 *       {"properties": text} reads a properties text.
 * </ul>
 */
public final class ConfigDump {
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        if (args.length == 1 && args[0].equals("dump")) {
            System.out.println(JSON.writeValueAsString(dump()));
        } else if (args.length == 1 && args[0].equals("ask")) {
            answerQuestions();
        } else {
            throw new IllegalArgumentException("usage: ConfigDump dump|ask");
        }
    }

    private static Map<String, Object> dump() throws Exception {
        Map<String, Object> all = new LinkedHashMap<>();
        all.put("version", AppInfoParser.getVersion());
        for (String kind : List.of("broker", "broker_dynamic_only", "topic", "group", "client_metrics")) {
            all.put(kind, keys(definition(kind)));
        }
        all.put("dynamic", new TreeSet<>(DynamicBrokerConfig.ALL_DYNAMIC_CONFIGS));
        all.put("per_broker", new TreeSet<>(setOf("PER_BROKER_CONFIGS")));
        all.put("listener_only", new TreeSet<>(DynamicBrokerConfig.DYNAMIC_SECURITY_CONFIGS));
        all.put("cluster_level_listener", new TreeSet<>(setOf("CLUSTER_LEVEL_LISTENER_CONFIGS")));
        all.put("listener_mechanism", new TreeSet<>(setOf("LISTENER_MECHANISM_CONFIGS")));
        all.put("topic_synonyms", topicSynonyms());
        Map<String, Object> groups = new TreeMap<>();
        GroupConfig.ALL_GROUP_CONFIG_SYNONYMS.forEach((name, broker) -> groups.put(name, broker.orElse(null)));
        all.put("group_synonyms", groups);
        return all;
    }

    private static ConfigDef definition(String kind) throws Exception {
        return switch (kind) {
            case "broker" -> AbstractKafkaConfig.CONFIG_DEF;
            case "broker_dynamic_only" -> QuotaConfig.brokerQuotaConfigs();
            case "topic" -> LogConfig.configDefCopy();
            case "group" -> GroupConfig.CONFIG_DEF;
            case "client_metrics" -> (ConfigDef) fieldOf(ClientMetricsConfigs.class, null, "CONFIG");
            default -> throw new IllegalArgumentException(kind);
        };
    }

    private static Map<String, Object> topicSynonyms() {
        Map<String, Object> synonyms = new TreeMap<>();
        ServerTopicConfigSynonyms.ALL_TOPIC_CONFIG_SYNONYMS.forEach((topic, brokers) -> {
            List<Object> list = new ArrayList<>();
            // The factor by which the broker's unit is converted, seen from outside.
            brokers.forEach(s -> list.add(List.of(s.name(), Long.parseLong(s.converter().apply("1")))));
            synonyms.put(topic, list);
        });
        return synonyms;
    }

    private static List<Object> keys(ConfigDef definition) throws Exception {
        List<Object> result = new ArrayList<>();
        for (ConfigDef.ConfigKey key : new TreeMap<>(definition.configKeys()).values()) {
            Map<String, Object> entry = new LinkedHashMap<>();
            entry.put("name", key.name);
            entry.put("type", key.type.toString().toLowerCase());
            entry.put("required", !key.hasDefault());
            entry.put("default", key.hasDefault() ? text(key.defaultValue, key.type) : null);
            entry.put("internal", key.internalConfig);
            entry.put("valid", validator(key.validator));
            result.add(entry);
        }
        return result;
    }

    private static String text(Object value, ConfigDef.Type type) {
        return ConfigDef.convertToString(value, type);
    }

    private static Object validator(ConfigDef.Validator validator) throws Exception {
        if (validator == null) return null;
        Map<String, Object> result = new LinkedHashMap<>();
        result.put("class", validator.getClass().getSimpleName());
        for (String field : List.of("min", "max", "isEmptyAllowed", "isNullAllowed", "validStrings")) {
            Object value = fieldOf(validator.getClass(), validator, field);
            if (value != null) {
                boolean set = value instanceof Set;
                result.put(field, value instanceof Number ? value.toString() : set ? new TreeSet<>((Set<?>) value) : value);
            }
        }
        Object strings = fieldOf(validator.getClass(), validator, "validString");
        if (strings != null) result.put("validStrings", fieldOf(strings.getClass(), strings, "validStrings"));
        result.put("text", validator.toString());
        return result;
    }

    private static Object fieldOf(Class<?> type, Object object, String name) throws Exception {
        try {
            Field field = type.getDeclaredField(name);
            field.setAccessible(true);
            return field.get(object);
        } catch (NoSuchFieldException e) {
            return null;
        }
    }

    @SuppressWarnings("unchecked")
    private static Set<String> setOf(String name) throws Exception {
        return (Set<String>) fieldOf(DynamicBrokerConfig.class, null, name);
    }

    private static void answerQuestions() throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            Map<String, Object> answer = new HashMap<>();
            try {
                answer.put("value", answer(JSON.readTree(line)));
                answer.put("ok", true);
            } catch (Exception | NoSuchMethodError | AssertionError e) {
                answer.put("ok", false);
                answer.put("error", String.valueOf(e.getMessage()));
            }
            System.out.println(JSON.writeValueAsString(answer));
        }
    }

    private static Object answer(JsonNode question) throws Exception {
        if (question.has("value")) {
            JsonNode asked = question.get("value");
            return parse(asked.get("kind").asText(), asked.get("name").asText(), asked.get("value").asText());
        }
        if (question.has("broker")) return broker(question.get("broker"));
        if (question.has("properties")) {
            Properties loaded = new Properties();
            loaded.load(new StringReader(question.get("properties").asText()));
            return new TreeMap<>(loaded);
        }
        JsonNode asked = question.get("topic");
        KafkaConfig broker = KafkaConfig.fromProps(properties(asked.get("broker")), false);
        Map<String, String> configs = strings(asked.get("configs"));
        LogConfig.validate(Map.of(), configs, broker.extractLogConfigMap(), false);
        Properties overrides = new Properties();
        overrides.putAll(configs);
        return texts(LogConfig.fromProps(broker.extractLogConfigMap(), overrides).values(), LogConfig.configKeys());
    }

    private static String parse(String kind, String name, String value) throws Exception {
        ConfigDef.ConfigKey key = definition(kind).configKeys().get(name);
        return text(new ConfigDef().define(key).parse(Map.of(name, value)).get(name), key.type);
    }

    private static Object broker(JsonNode properties) {
        KafkaConfig config = KafkaConfig.fromProps(properties(properties), false);
        Map<String, Object> seen = new TreeMap<>();
        seen.put("log_map", texts(config.extractLogConfigMap(), LogConfig.configKeys()));
        List<String> names = new ArrayList<>();
        CollectionConverters.asJava(config.listeners()).forEach(e -> names.add(e.listener()));
        seen.put("names", names);
        List<Object> advertised = new ArrayList<>();
        for (Endpoint e : CollectionConverters.asJava(config.effectiveAdvertisedBrokerListeners())) {
            List<Object> endpoint = new ArrayList<>();
            endpoint.add(e.listener());
            endpoint.add(e.host());
            endpoint.add(e.port());
            advertised.add(endpoint);
        }
        seen.put("advertised", advertised);
        seen.put("inter_broker", config.interBrokerListenerName().value());
        seen.put("log_dirs", config.logDirs());
        seen.put("metadata_log_dir", config.metadataLogDir());
        return seen;
    }

    private static Map<String, Object> texts(Map<String, ?> values, Map<String, ConfigDef.ConfigKey> keys) {
        Map<String, Object> result = new TreeMap<>();
        values.forEach((name, value) -> result.put(name, text(value, keys.get(name).type)));
        return result;
    }

    private static Map<String, String> strings(JsonNode object) {
        Map<String, String> result = new HashMap<>();
        object.properties().forEach(e -> result.put(e.getKey(), e.getValue().asText()));
        return result;
    }

    private static Properties properties(JsonNode object) {
        Properties result = new Properties();
        result.putAll(strings(object));
        return result;
    }

    private ConfigDump() { }
}
