package org.moe4j.train.data;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.moe4j.models.Tokenizer;
import org.moe4j.tensor.MoeException;

/**
 * Byte-level BPE as in GPT-2: any text is encoded, and decoding gives it back. Reads and writes
 * {@code tokenizer.json}; the ids are those of the Hugging Face tokenizers library for that file.
 * Safe for use by many threads.
 */
public final class BpeTokenizer implements Tokenizer {
  /** The token between documents. */
  public static final String END_OF_TEXT = "<|endoftext|>";

  private static final int CACHED_PIECES = 1 << 17;
  private static final int LONGEST_CACHED = 32;

  private final List<byte[]> tokens;
  private final List<Merge> merges;
  private final List<AddedToken> added;
  private final Map<String, AddedToken> addedByContent = new HashMap<>();
  private final Map<Integer, AddedToken> addedById = new HashMap<>();
  private final Pattern addedPattern;
  private final BpeEncoder encoder;
  private final Map<String, int[]> cache = new ConcurrentHashMap<>();

  /**
   * The tokens' bytes by id, the added tokens' included; every byte alone is a token.
   *
   * @param merges by rank
   */
  BpeTokenizer(List<byte[]> tokens, List<Merge> merges, List<AddedToken> added) {
    this.tokens = List.copyOf(tokens);
    this.merges = List.copyOf(merges);
    this.added = List.copyOf(added);
    for (AddedToken token : added) {
      addedByContent.put(token.content(), token);
      addedById.put(token.id(), token);
    }
    // The longest of several that begin at one place is found.
    addedPattern =
        Pattern.compile(
            added.stream()
                .map(AddedToken::content)
                .sorted(Comparator.comparingInt(String::length).reversed())
                .map(Pattern::quote)
                .collect(Collectors.joining("|")));
    int[] idOfByte = new int[256];
    for (int id = 0; id < tokens.size(); id++) {
      if (tokens.get(id).length == 1 && !addedById.containsKey(id)) {
        idOfByte[tokens.get(id)[0] & 0xFF] = id;
      }
    }
    encoder = new BpeEncoder(idOfByte, merges);
  }

  /**
   * Reads a {@code tokenizer.json}.
   *
   * @throws MoeException in one line, when the file is missing, malformed, inconsistent, or not
   *     byte-level BPE with GPT-2's pre-tokenizer
   */
  public static BpeTokenizer read(Path file) {
    return new TokenizerJsonReader(file).read();
  }

  /** Writes {@code tokenizer.json}: all or nothing, an older file is replaced at the end. */
  public void write(Path file) {
    TokenizerJsonWriter.write(this, file);
  }

  @Override
  public int vocabSize() {
    return tokens.size();
  }

  /** The id of {@link #END_OF_TEXT}; an error if the vocabulary lacks it. */
  public int endOfText() {
    AddedToken token = addedByContent.get(END_OF_TEXT);
    if (token == null) {
      throw new MoeException(
          "the tokenizer has no " + END_OF_TEXT + " token; add it to added_tokens");
    }
    return token.id();
  }

  @Override
  public OptionalInt id(String specialToken) {
    AddedToken token = addedByContent.get(specialToken);
    return token == null ? OptionalInt.empty() : OptionalInt.of(token.id());
  }

  /** A text begins behind an end of text; no spelling in it becomes a special token. */
  @Override
  public int[] encodePrompt(String text) {
    int[] ids = encodeOrdinary(text);
    return IntStream.concat(IntStream.of(endOfText()), Arrays.stream(ids)).toArray();
  }

  /** Encodes {@code text}, in which the spelling of an added token is that token. */
  @Override
  public int[] encode(String text) {
    IntList ids = new IntList(text.length() / 3);
    int at = 0;
    if (!added.isEmpty()) {
      Matcher matcher = addedPattern.matcher(text);
      while (matcher.find()) {
        encode(text, at, matcher.start(), ids);
        ids.add(addedByContent.get(matcher.group()).id());
        at = matcher.end();
      }
    }
    encode(text, at, text.length(), ids);
    return ids.toArray();
  }

  /** Encodes {@code text} as it is: no spelling in it becomes a special token. */
  public int[] encodeOrdinary(String text) {
    IntList ids = new IntList(text.length() / 3);
    encode(text, 0, text.length(), ids);
    return ids.toArray();
  }

  private void encode(String text, int from, int to, IntList ids) {
    PreTokenizer.split(
        text,
        from,
        to,
        (start, end) ->
            ids.addAll(
                end - start > LONGEST_CACHED
                    ? encoder.encode(ByteAlphabet.utf8(text, start, end))
                    : encodePiece(text.substring(start, end))));
  }

  private int[] encodePiece(String piece) {
    int[] known = cache.get(piece);
    if (known != null) {
      return known;
    }
    int[] ids = encoder.encode(ByteAlphabet.utf8(piece, 0, piece.length()));
    if (cache.size() < CACHED_PIECES) {
      cache.put(piece, ids);
    }
    return ids;
  }

  /**
   * The text of {@code ids}, without special tokens. Bytes that are not UTF-8 become U+FFFD.
   *
   * @throws MoeException when an id is outside the vocabulary
   */
  @Override
  public String decode(int... ids) {
    int size = 0;
    for (int id : ids) {
      size += textBytes(id).length;
    }
    byte[] bytes = new byte[size];
    int at = 0;
    for (int id : ids) {
      byte[] token = textBytes(id);
      System.arraycopy(token, 0, bytes, at, token.length);
      at += token.length;
    }
    return Utf8.lossy(bytes, size);
  }

  @Override
  public String spell(int id) {
    return isSpecial(id) ? addedById.get(id).content() : decode(id);
  }

  @Override
  public Stream stream() {
    return new StreamingDecoder(this);
  }

  /** Nothing to free. */
  @Override
  public void close() {}

  /** The UTF-8 bytes that token {@code id} adds to a text: none for a special token. */
  byte[] textBytes(int id) {
    return isSpecial(id) ? new byte[0] : tokens.get(id);
  }

  /** How many bytes token {@code id} adds to a text: 0 for a special token. */
  public int byteLength(int id) {
    return textBytes(id).length;
  }

  /** Whether {@code id} is a special token, which is no text. */
  public boolean isSpecial(int id) {
    if (id < 0 || id >= tokens.size()) {
      throw new MoeException(
          "token id %d is outside the vocabulary of %d tokens".formatted(id, tokens.size()));
    }
    AddedToken token = addedById.get(id);
    return token != null && token.special();
  }

  List<byte[]> tokens() {
    return tokens;
  }

  List<Merge> merges() {
    return merges;
  }

  List<AddedToken> added() {
    return added;
  }
}
