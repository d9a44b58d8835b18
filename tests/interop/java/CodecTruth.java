import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Random;
import java.util.TreeMap;
import java.util.jar.JarFile;

import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.errors.RefreshRetriableException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.message.ApiMessageType.ListenerType;
import org.apache.kafka.common.message.FetchRequestData;
import org.apache.kafka.common.metadata.TopicRecord;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.RawTaggedField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;
import org.apache.kafka.common.record.internal.BaseRecords;
import org.apache.kafka.common.record.internal.MemoryRecords;

/**
 * What Kafka's own generated classes say about the bytes of every message.
 *
 * <pre>
 * CodecTruth apis                 the table of APIs, one per line
 * CodecTruth errors               the table of error codes, one per line
 * CodecTruth list                 name, lowest and highest stable version of every message
 * CodecTruth fill SEED ROUNDS     random messages of every version: frames on standard output
 * CodecTruth defaults             untouched messages, one untouched element in each list: frames
 * CodecTruth echo                 reads frames, writes each message again: frames with the answers
 * </pre>
 *
 * A frame is the message's name, its version (16 bits), a length (32 bits) and the bytes. The
 * length -1 says that the classes refused the message; the text of the refusal follows.
 */
public final class CodecTruth {
    private static final int UNKNOWN_TAG = 9_000;

    private final Random random;

    private CodecTruth(long seed) {
        random = new Random(seed);
    }

    public static void main(String[] arguments) throws Exception {
        switch (arguments[0]) {
            case "apis" -> apis();
            case "errors" -> errors();
            case "list" -> list();
            case "fill" -> fill(Long.parseLong(arguments[1]), Integer.parseInt(arguments[2]));
            case "defaults" -> defaults();
            case "echo" -> echo();
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    /** Key, name, versions, the header versions of each, listeners, forwarded, internal. */
    private static void apis() {
        for (ApiKeys api : ApiKeys.values()) {
            ApiMessageType type = api.messageType;
            int low = type.lowestSupportedVersion();
            int high = type.highestSupportedVersion(false);
            if (low > high) {
                continue;
            }
            int listed = api == ApiKeys.PRODUCE
                ? ApiKeys.PRODUCE_API_VERSIONS_RESPONSE_MIN_VERSION
                : low;
            List<String> headers = new ArrayList<>();
            for (short version = (short) low; version <= high; version++) {
                headers.add(api.requestHeaderVersion(version) + "/" + api.responseHeaderVersion(version));
            }
            System.out.println(String.join(" ", String.valueOf(api.id), api.name,
                String.valueOf(listed), String.valueOf(low), String.valueOf(high),
                String.join(",", headers),
                String.valueOf(type.listeners().contains(ListenerType.BROKER)),
                String.valueOf(type.listeners().contains(ListenerType.CONTROLLER)),
                String.valueOf(api.forwardable), String.valueOf(api.clusterAction)));
        }
    }

    private static void errors() {
        for (Errors error : Errors.values()) {
            System.out.println(error.code() + " " + error.name() + " "
                + (error.exception() instanceof RetriableException) + " "
                + (error.exception() instanceof RefreshRetriableException));
        }
    }

    private static void list() throws Exception {
        for (var entry : messages().entrySet()) {
            Message message = create(entry.getValue());
            System.out.println(entry.getKey() + " " + message.lowestSupportedVersion() + " "
                + highest(entry.getKey(), message));
        }
    }

    private static void fill(long seed, int rounds) throws Exception {
        CodecTruth truth = new CodecTruth(seed);
        try (DataOutputStream out = output()) {
            for (var entry : messages().entrySet()) {
                Message sample = create(entry.getValue());
                int last = highest(entry.getKey(), sample);
                for (int version = sample.lowestSupportedVersion(); version <= last; version++) {
                    Schema schema = schemaOf(entry.getValue(), version);
                    for (int round = 0; round < rounds; round++) {
                        Message message = create(entry.getValue());
                        truth.fill(message, schema, 0);
                        write(out, entry.getKey(), (short) version, bytesOf(message, (short) version));
                    }
                }
            }
        }
    }

    private static void defaults() throws Exception {
        try (DataOutputStream out = output()) {
            for (var entry : messages().entrySet()) {
                Message sample = create(entry.getValue());
                int last = highest(entry.getKey(), sample);
                for (int version = sample.lowestSupportedVersion(); version <= last; version++) {
                    Message message = create(entry.getValue());
                    addElements(message, schemaOf(entry.getValue(), version));
                    write(out, entry.getKey(), (short) version, bytesOf(message, (short) version));
                }
            }
        }
    }

    /** Adds one untouched element to every list of structs that is not a tagged field. */
    private static void addElements(Message message, Schema schema)
            throws ReflectiveOperationException {
        for (BoundField bound : schema.fields()) {
            if (bound.def.type instanceof TaggedFields) {
                continue;
            }
            Field field = fieldOf(message.getClass(), bound.def.name);
            field.setAccessible(true);
            Object present = field.get(message);
            if (present instanceof Collection<?>) {
                if (!Message.class.isAssignableFrom(elementClass(field))) {
                    continue;
                }
                Message made = create(elementClass(field).asSubclass(Message.class));
                addElements(made, (Schema) bound.def.type.arrayElementType().orElseThrow());
                field.set(message, collectionOf(field, List.of(made)));
            } else if (present instanceof Message struct) {
                addElements(struct, (Schema) bound.def.type);
            } else if (present == null && BaseRecords.class.isAssignableFrom(field.getType())
                    && !bound.def.type.isNullable()) {
                field.set(message, MemoryRecords.EMPTY);
            }
        }
    }

    private static void echo() throws Exception {
        TreeMap<String, Class<? extends Message>> messages = messages();
        try (DataInputStream in = new DataInputStream(new BufferedInputStream(System.in));
             DataOutputStream out = output()) {
            while (true) {
                in.mark(1);
                if (in.read() < 0) {
                    return;
                }
                in.reset();
                String name = in.readUTF();
                short version = in.readShort();
                byte[] bytes = in.readNBytes(in.readInt());
                try {
                    Message message = create(messages.get(name));
                    ByteBufferAccessor readable = new ByteBufferAccessor(ByteBuffer.wrap(bytes));
                    message.read(readable, version);
                    if (readable.remaining() > 0) {
                        throw new IllegalStateException(readable.remaining() + " bytes are left over");
                    }
                    write(out, name, version, bytesOf(message, version));
                } catch (RuntimeException refused) {
                    out.writeUTF(name);
                    out.writeShort(version);
                    out.writeInt(-1);
                    out.writeUTF(refused.toString());
                }
            }
        }
    }

    private static DataOutputStream output() {
        return new DataOutputStream(new BufferedOutputStream(System.out, 1 << 16));
    }

    private static void write(DataOutputStream out, String name, short version, byte[] bytes)
            throws IOException {
        out.writeUTF(name);
        out.writeShort(version);
        out.writeInt(bytes.length);
        out.write(bytes);
    }

    private static byte[] bytesOf(Message message, short version) {
        ByteBuffer buffer = MessageUtil.toByteBufferAccessor(message, version).buffer();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
    }

    /** Every message class of the clients and metadata jars, by the name of its definition. */
    private static TreeMap<String, Class<? extends Message>> messages() throws Exception {
        TreeMap<String, Class<? extends Message>> found = new TreeMap<>();
        for (Class<?> sample : List.of(FetchRequestData.class, TopicRecord.class)) {
            String folder = sample.getPackageName().replace('.', '/') + "/";
            Path jar = Path.of(sample.getProtectionDomain().getCodeSource().getLocation().toURI());
            try (JarFile file = new JarFile(jar.toFile())) {
                for (var entries = file.entries(); entries.hasMoreElements();) {
                    String name = entries.nextElement().getName();
                    if (name.startsWith(folder) && name.endsWith(".class") && !name.contains("$")) {
                        add(found, name.substring(folder.length(), name.length() - 6), sample);
                    }
                }
            }
        }
        return found;
    }

    private static void add(TreeMap<String, Class<? extends Message>> found, String name,
            Class<?> neighbour) throws ClassNotFoundException {
        Class<?> type = Class.forName(neighbour.getPackageName() + "." + name);
        if (!Message.class.isAssignableFrom(type) || type.isInterface()) {
            return;
        }
        String definition = name.replaceAll("(Request|Response|Header)Data$", "$1");
        Class<? extends Message> message = type.asSubclass(Message.class);
        if (schemas(message).length > 0) {
            found.put(definition, message);
        }
    }

    private static Message create(Class<? extends Message> type) throws ReflectiveOperationException {
        return type.getDeclaredConstructor().newInstance();
    }

    private static int highest(String name, Message message) {
        if (message instanceof ApiMessage api && name.matches(".*(Request|Response)")) {
            return ApiMessageType.fromApiKey(api.apiKey()).highestSupportedVersion(false);
        }
        return message.highestSupportedVersion();
    }

    private static Schema[] schemas(Class<?> type) {
        try {
            return (Schema[]) type.getField("SCHEMAS").get(null);
        } catch (ReflectiveOperationException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    private static Schema schemaOf(Class<?> type, int version) {
        return schemas(type)[version];
    }

    /** Sets every field of the message that the schema has; tagged ones two times in three. */
    private void fill(Message message, Schema schema, int depth) throws ReflectiveOperationException {
        for (BoundField bound : schema.fields()) {
            if (bound.def.type instanceof TaggedFields tagged) {
                for (var field : tagged.fields().values()) {
                    if (random.nextInt(3) > 0) {
                        set(message, field.name, field.type, depth);
                    }
                }
                addUnknownTags(message);
            } else {
                set(message, bound.def.name, bound.def.type, depth);
            }
        }
    }

    private void addUnknownTags(Message message) {
        int tag = UNKNOWN_TAG;
        while (random.nextInt(6) == 0) {
            tag += 1 + random.nextInt(20_000);
            message.unknownTaggedFields().add(new RawTaggedField(tag, bytes()));
        }
    }

    private void set(Message message, String name, Type type, int depth)
            throws ReflectiveOperationException {
        Field field = fieldOf(message.getClass(), name);
        field.setAccessible(true);
        field.set(message, value(field, type, depth));
    }

    /** The member variable behind the snake case name of a schema. */
    private static Field fieldOf(Class<?> type, String name) {
        String plain = name.replace("_", "");
        for (Field field : type.getDeclaredFields()) {
            if (!Modifier.isStatic(field.getModifiers()) && field.getName().equalsIgnoreCase(plain)) {
                return field;
            }
        }
        throw new IllegalStateException(type + " has no field " + name);
    }

    private Object value(Field field, Type type, int depth)
            throws ReflectiveOperationException {
        if (type.isNullable() && random.nextInt(4) == 0) {
            return null;
        }
        Class<?> javaType = field.getType();
        if (Collection.class.isAssignableFrom(javaType)) {
            return collection(field, type, depth);
        }
        if (Message.class.isAssignableFrom(javaType)) {
            Message struct = create(javaType.asSubclass(Message.class));
            fill(struct, (Schema) type, depth + 1);
            return struct;
        }
        if (BaseRecords.class.isAssignableFrom(javaType)) {
            return MemoryRecords.readableRecords(ByteBuffer.wrap(bytes()));
        }
        if (javaType == ByteBuffer.class) {
            return ByteBuffer.wrap(bytes());
        }
        return scalar(javaType, type);
    }

    @SuppressWarnings("unchecked")
    private static Collection<Object> collectionOf(Field field, List<Object> elements)
            throws ReflectiveOperationException {
        Class<?> javaType = field.getType();
        Collection<Object> made = javaType == List.class
            ? new ArrayList<>()
            : (Collection<Object>) javaType.getDeclaredConstructor().newInstance();
        made.addAll(elements);
        return made;
    }

    private Object collection(Field field, Type type, int depth) throws ReflectiveOperationException {
        Type elementType = type.arrayElementType().orElseThrow();
        Class<?> elementClass = elementClass(field);
        List<Object> made = new ArrayList<>();
        boolean struct = Message.class.isAssignableFrom(elementClass);
        int count = random.nextInt(4);
        if (depth == 0 && random.nextInt(40) == 0 || !struct && random.nextInt(20) == 0) {
            count = 120 + random.nextInt(50);
        }
        for (int i = 0; i < count; i++) {
            if (struct) {
                Message element = create(elementClass.asSubclass(Message.class));
                fill(element, (Schema) elementType, depth + 1);
                made.add(element);
            } else {
                made.add(scalar(elementClass, elementType));
            }
        }
        return collectionOf(field, made);
    }

    /** The class of the elements of a list, or of one of the collections that the messages define. */
    private static Class<?> elementClass(Field field) {
        java.lang.reflect.Type generic = field.getType() == List.class
            ? field.getGenericType()
            : field.getType().getGenericSuperclass();
        return (Class<?>) ((ParameterizedType) generic).getActualTypeArguments()[0];
    }

    private Object scalar(Class<?> javaType, Type type) {
        long bits = bits();
        if (javaType == boolean.class || javaType == Boolean.class) {
            return random.nextBoolean();
        }
        if (javaType == byte.class || javaType == Byte.class) {
            return (byte) bits;
        }
        if (javaType == short.class || javaType == Short.class) {
            return (short) bits;
        }
        if (javaType == int.class || javaType == Integer.class) {
            return type == Type.UINT16 ? (int) (bits & 0xffff) : (int) bits;
        }
        if (javaType == long.class || javaType == Long.class) {
            return type == Type.UNSIGNED_INT32 ? bits & 0xffffffffL : bits;
        }
        if (javaType == double.class) {
            return Double.longBitsToDouble(bits);
        }
        if (javaType == Uuid.class) {
            return new Uuid(bits(), bits());
        }
        if (javaType == String.class) {
            return text();
        }
        if (javaType == byte[].class) {
            return bytes();
        }
        throw new IllegalStateException("no values for " + javaType);
    }

    /** Small numbers, the ends of the ranges, and anything else. */
    private long bits() {
        return switch (random.nextInt(4)) {
            case 0 -> random.nextInt(5) - 2;
            case 1 -> List.of(Long.MAX_VALUE, Long.MIN_VALUE, (long) Integer.MAX_VALUE,
                (long) Integer.MIN_VALUE, 0x7fffL, 0x8000L).get(random.nextInt(6));
            default -> random.nextLong();
        };
    }

    private byte[] bytes() {
        byte[] made = new byte[random.nextInt(20) == 0 ? 100 + random.nextInt(300) : random.nextInt(12)];
        random.nextBytes(made);
        return made;
    }

    private String text() {
        int length = random.nextInt(20) == 0 ? 100 + random.nextInt(100) : random.nextInt(10);
        int[] points = new int[length];
        for (int i = 0; i < length; i++) {
            points[i] = switch (random.nextInt(12)) {
                case 0 -> 0x1f600 + random.nextInt(40);
                case 1 -> 0x4e00 + random.nextInt(1000);
                case 2 -> 0xc0 + random.nextInt(60);
                case 3 -> 0;
                default -> 'a' + random.nextInt(26);
            };
        }
        return new String(points, 0, length);
    }
}
