package org.moe4j.models;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.OptionalInt;
import java.util.stream.IntStream;
import org.moe4j.tensor.MoeException;

/**
 * Any {@code tokenizer.json}, by the Hugging Face tokenizers library. Its native code comes inside
 * the jar and is unpacked once into the user's DJL cache folder ({@code DJL_CACHE_DIR}); nothing is
 * fetched from the network.
 */
public final class HfTokenizer implements Tokenizer {
  static {
    // The bundled library, never a CUDA build from the network; no note about a missing logger.
    setUnlessSet("RUST_FLAVOR", "cpu");
    setUnlessSet("ai.djl.offline", "true");
    setUnlessSet("slf4j.internal.verbosity", "ERROR");
  }

  private final HuggingFaceTokenizer library;
  private final TokenizerTable table;

  private HfTokenizer(HuggingFaceTokenizer library, TokenizerTable table) {
    this.library = library;
    this.table = table;
  }

  private static void setUnlessSet(String property, String value) {
    if (System.getProperty(property) == null) {
      System.setProperty(property, value);
    }
  }

  /**
   * Reads a {@code tokenizer.json}. Truncation and padding that it asks for are not applied.
   *
   * @throws MoeException in one line, when the file is missing or malformed
   */
  public static HfTokenizer read(Path file) {
    TokenizerTable table = TokenizerTable.read(file);
    Map<String, String> whole = Map.of("truncation", "false", "padding", "false");
    try (InputStream in = Files.newInputStream(file)) {
      return new HfTokenizer(HuggingFaceTokenizer.newInstance(in, whole), table);
    } catch (IOException e) {
      throw new MoeException(file + ": the tokenizer cannot be read: " + e, e);
    } catch (RuntimeException e) {
      String why = String.valueOf(e.getMessage()).lines().findFirst().orElse("").strip();
      throw new MoeException(file + ": the tokenizers library refuses it: " + why, e);
    } catch (LinkageError e) {
      throw new MoeException(
          "the native tokenizers library does not load ("
              + String.valueOf(e.getMessage()).lines().findFirst().orElse("")
              + "); can files be executed in the DJL cache folder (DJL_CACHE_DIR)?",
          e);
    }
  }

  @Override
  public int[] encode(String text) {
    return ids(text, false);
  }

  /** With what the post-processor of the file adds. */
  @Override
  public int[] encodePrompt(String text) {
    return ids(text, true);
  }

  private int[] ids(String text, boolean special) {
    long[] ids = library.encode(wellFormed(text), special, false).getIds();
    return Arrays.stream(ids).mapToInt(Math::toIntExact).toArray();
  }

  /** Half of a surrogate pair is no character: U+FFFD instead. */
  private static String wellFormed(String text) {
    int[] points =
        text.codePoints()
            .map(c -> c >= Character.MIN_SURROGATE && c <= Character.MAX_SURROGATE ? 0xFFFD : c)
            .toArray();
    return new String(points, 0, points.length);
  }

  @Override
  public String decode(int... ids) {
    return library.decode(wide(IntStream.of(ids)), true);
  }

  @Override
  public String spell(int id) {
    return library.decode(new long[] {id}, false);
  }

  private static long[] wide(IntStream ids) {
    return ids.asLongStream().toArray();
  }

  @Override
  public int vocabSize() {
    return table.size();
  }

  @Override
  public OptionalInt id(String specialToken) {
    Integer id = table.added().get(specialToken);
    return id == null ? OptionalInt.empty() : OptionalInt.of(id);
  }

  @Override
  public Stream stream() {
    return new Window();
  }

  @Override
  public void close() {
    library.close();
  }

  /**
   * Decodes a window of the newest tokens: those of the part before and those since. A token may
   * look different at the beginning of a text, so it is never decoded alone.
   */
  private final class Window implements Stream {
    private static final char INCOMPLETE = '\uFFFD';

    private int[] ids = new int[0];
    private int told;
    private String toldText = "";

    @Override
    public String push(int id) {
      ids = Arrays.copyOf(ids, ids.length + 1);
      ids[ids.length - 1] = id;
      String text = decode(ids);
      boolean incomplete = !text.isEmpty() && text.charAt(text.length() - 1) == INCOMPLETE;
      if (incomplete || text.length() <= toldText.length()) {
        return "";
      }
      String part = text.substring(toldText.length());
      ids = Arrays.copyOfRange(ids, told, ids.length);
      told = ids.length;
      toldText = decode(ids);
      return part;
    }

    @Override
    public String finish() {
      String text = decode(ids);
      String rest = text.substring(Math.min(toldText.length(), text.length()));
      told = ids.length;
      toldText = text;
      return rest;
    }
  }
}
