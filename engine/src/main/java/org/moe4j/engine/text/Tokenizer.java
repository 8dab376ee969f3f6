package org.moe4j.engine.text;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;
import java.util.regex.Pattern;
import org.moe4j.engine.EngineException;
import org.moe4j.engine.gguf.Metadata;
import org.moe4j.engine.text.SpecialTokens.Found;
import org.moe4j.engine.text.Vocabulary.Kind;

/**
 * From text to token ids and back, by the {@code tokenizer.ggml} keys of a GGUF file: byte-level
 * byte-pair encoding ({@code gpt2}) with the pre-tokenizer that {@code tokenizer.ggml.pre} names,
 * or SentencePiece's byte-pair encoding ({@code llama}). Encoding takes O(n log n) time whatever
 * the text. Safe for use by many threads.
 *
 * <p>Text is taken as it is written: no Unicode normalisation, of which the format says nothing.
 */
public final class Tokenizer {
  private static final String KEY = "tokenizer.ggml.";
  private static final String BYTE_LEVEL = "gpt2";
  private static final String SENTENCE_PIECE = "llama";

  /** In Java a match of surrogates as characters is one without its other half. */
  private static final Pattern HALF_CHARACTER = Pattern.compile("[\\ud800-\\udfff]");

  private final Vocabulary vocabulary;
  private final Encoder encoder;
  private final boolean byteLevel;
  private final boolean spaceInFront;
  private final SpecialTokens special;
  private final SpecialTokens userDefined;
  private final Set<Integer> swallowSpace;
  private final Set<Integer> ends;
  private final OptionalInt bos;
  private final OptionalInt eos;
  private final boolean addBos;
  private final boolean addEos;

  private Tokenizer(Metadata m) {
    String model = m.text(KEY + "model").orElseThrow(() -> m.missing(KEY + "model"));
    byteLevel = model.equals(BYTE_LEVEL);
    if (!byteLevel && !model.equals(SENTENCE_PIECE)) {
      throw m.failure(
          "tokenizer "
              + model
              + " is not known; known: "
              + BYTE_LEVEL
              + " (byte-level), "
              + SENTENCE_PIECE
              + " (SentencePiece)");
    }
    String pre = m.text(KEY + "pre").orElse("default");
    if (byteLevel && !PreTokenizer.knows(pre)) {
      throw m.failure(KEY + "pre " + pre + " is not known; known: " + PreTokenizer.names());
    }
    boolean keepsWords = byteLevel && PreTokenizer.keepsWords(pre);
    vocabulary = Vocabulary.of(m);
    ends = EndTokens.of(m, vocabulary);
    bos = token(m, "bos_token_id", byteLevel ? -1 : 1);
    eos = token(m, "eos_token_id", byteLevel ? -1 : 2);
    addBos = m.flag(KEY + "add_bos_token").orElse(keepsWords || !byteLevel) && bos.isPresent();
    addEos = m.flag(KEY + "add_eos_token").orElse(false) && eos.isPresent();
    spaceInFront = !byteLevel && m.flag(KEY + "add_space_prefix").orElse(true);
    int unknown = token(m, "unknown_token_id", byteLevel ? -1 : 0).orElse(-1);
    encoder =
        byteLevel
            ? new BytePairs(m, vocabulary, PreTokenizer.named(pre), keepsWords, unknown)
            : new ScoredPairs(m, vocabulary, spaceInFront, unknown);
    special =
        new SpecialTokens(
            vocabulary, id -> control(id) || vocabulary.kind(id) == Kind.USER_DEFINED);
    userDefined = new SpecialTokens(vocabulary, id -> vocabulary.kind(id) == Kind.USER_DEFINED);
    swallowSpace = swallowSpace(m);
  }

  /**
   * The tokenizer of a file.
   *
   * @throws EngineException if it has none, or one that is damaged or not known
   */
  public static Tokenizer of(Metadata metadata) {
    return new Tokenizer(metadata);
  }

  private OptionalInt token(Metadata m, String key, int otherwise) {
    OptionalLong stated = m.whole(KEY + key);
    long id = stated.orElse(otherwise);
    return id >= 0 && id < vocabulary.size() ? OptionalInt.of((int) id) : OptionalInt.empty();
  }

  /** Phi-3's special tokens take the whitespace after them, which its files do not say. */
  private Set<Integer> swallowSpace(Metadata m) {
    String name = m.text("general.name").orElse("").toLowerCase(Locale.ROOT);
    if (!name.contains("phi-3") && !name.contains("phi3")) {
      return Set.of();
    }
    Set<Integer> all = new HashSet<>(special.ids());
    List.of("<unk>", "<s>", "<|endoftext|>").forEach(s -> all.remove(vocabulary.id(s)));
    return Set.copyOf(all);
  }

  private boolean control(int id) {
    return vocabulary.kind(id) == Kind.CONTROL || vocabulary.kind(id) == Kind.UNKNOWN;
  }

  /** The number of tokens; ids are below it. */
  public int size() {
    return vocabulary.size();
  }

  /** The id of the token that is spelt so in the file. */
  public OptionalInt id(String spelling) {
    int id = vocabulary.id(spelling);
    return id < 0 ? OptionalInt.empty() : OptionalInt.of(id);
  }

  /** The token that begins a text, if there is one. */
  public OptionalInt bos() {
    return bos;
  }

  /** The token that ends a text, if there is one. */
  public OptionalInt eos() {
    return eos;
  }

  /** All tokens that end a text or an answer. */
  public Set<Integer> ends() {
    return ends;
  }

  /** The tokens of {@code text}, in which the spelling of a special token is that token. */
  public int[] encode(String text) {
    return encode(text, special);
  }

  /**
   * The tokens of a text that is nothing but text: the spelling of a control token is only letters.
   */
  public int[] encodePlain(String text) {
    return encode(text, userDefined);
  }

  /**
   * The tokens of a text that is to be continued: as {@link #encode}, behind the token that begins
   * a text if the file says that one is to be added and it is not there yet.
   */
  public int[] encodePrompt(String text) {
    int[] ids = encode(text);
    boolean there = ids.length > 0 && bos.isPresent() && ids[0] == bos.getAsInt();
    return addBos && !there ? with(bos.getAsInt(), ids) : ids;
  }

  /** As {@link #encodePrompt} of a text that is whole: with its end, if the file says so. */
  public int[] encodeWhole(String text) {
    int[] ids = encodePrompt(text);
    if (!addEos) {
      return ids;
    }
    int[] ended = Arrays.copyOf(ids, ids.length + 1);
    ended[ids.length] = eos.getAsInt();
    return ended;
  }

  private static int[] with(int first, int[] ids) {
    int[] all = new int[ids.length + 1];
    all[0] = first;
    System.arraycopy(ids, 0, all, 1, ids.length);
    return all;
  }

  private int[] encode(String raw, SpecialTokens wanted) {
    String text = HALF_CHARACTER.matcher(raw).replaceAll("\ufffd");
    Ids out = new Ids();
    int at = 0;
    boolean begins = true;
    for (Found found : wanted.in(text)) {
      if (at < found.from()) {
        encoder.encode(text.substring(at, found.from()), begins, out);
      }
      out.add(found.id());
      begins = true;
      at = found.to();
      while (swallowSpace.contains(found.id())
          && at < text.length()
          && Character.isWhitespace(text.charAt(at))) {
        at++;
      }
    }
    if (at < text.length()) {
      encoder.encode(text.substring(at), begins, out);
    }
    return out.toArray();
  }

  /**
   * The text of {@code ids}, which are a whole text, without control tokens. Bytes that are no
   * UTF-8 become U+FFFD.
   */
  public String decode(int... ids) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    for (int id : ids) {
      if (shows(id)) {
        bytes.writeBytes(bytes(id));
      }
    }
    String text = bytes.toString(StandardCharsets.UTF_8);
    return spaceInFront && text.startsWith(" ") ? text.substring(1) : text;
  }

  /** Decodes the continuation of a text, token by token. */
  public TextStream stream() {
    return new TextStream(this);
  }

  /** How a token looks alone, control tokens too. */
  public String spell(int id) {
    return new String(bytes(id), StandardCharsets.UTF_8);
  }

  /** Whether a token is part of the text that it stands in. */
  boolean shows(int id) {
    return id < size() && !control(id);
  }

  /** What a token stands for; nothing for ids that only fill the model's matrices. */
  byte[] bytes(int id) {
    if (id < 0) {
      throw new EngineException("token " + id + " is no token");
    }
    if (id >= size()) {
      return new byte[0];
    }
    String spelling = vocabulary.spelling(id);
    return switch (vocabulary.kind(id)) {
      case CONTROL, UNKNOWN, USER_DEFINED -> spelling.getBytes(StandardCharsets.UTF_8);
      case UNUSED -> new byte[0];
      case BYTE -> byteNamed(spelling);
      case NORMAL ->
          byteLevel
              ? bytesOf(spelling)
              : spelling.replace(ScoredPairs.SPACE, ' ').getBytes(StandardCharsets.UTF_8);
    };
  }

  /** The byte of a token like {@code <0x0A>}. */
  private static byte[] byteNamed(String spelling) {
    try {
      return new byte[] {(byte) Integer.parseInt(spelling, 3, 5, 16)};
    } catch (IndexOutOfBoundsException | NumberFormatException e) {
      return spelling.getBytes(StandardCharsets.UTF_8);
    }
  }

  private static byte[] bytesOf(String spelling) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    for (int i = 0; i < spelling.length(); i += Character.charCount(spelling.codePointAt(i))) {
      int b = ByteAlphabet.unsignedByte(spelling.charAt(i));
      if (b >= 0) {
        bytes.write(b);
      } else {
        bytes.writeBytes(
            Character.toString(spelling.codePointAt(i)).getBytes(StandardCharsets.UTF_8));
      }
    }
    return bytes.toByteArray();
  }
}
