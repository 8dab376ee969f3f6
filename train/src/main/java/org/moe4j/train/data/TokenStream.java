package org.moe4j.train.data;

import java.util.Arrays;
import java.util.function.IntConsumer;
import org.moe4j.CorpusCounts;

/**
 * The documents of one side of a split as one sequence of tokens: end-of-text, the first document,
 * end-of-text, the second, ..., end-of-text. Two bytes a token when the vocabulary fits.
 */
public final class TokenStream {
  /** The domain of a token that belongs to no labelled document, and of every end-of-text. */
  public static final int NO_DOMAIN = -1;

  /** What {@link #bytes} hands out for an end of text. */
  static final int END = 256;

  private final TokenArray tokens;
  private final BpeTokenizer tokenizer;

  /** Where each document begins; one more entry behind the last. */
  private final int[] starts;

  private final int[] domains;

  /** Document d is tokens [starts[d], starts[d + 1] - 1), of domain domains[d]. */
  TokenStream(TokenArray tokens, BpeTokenizer tokenizer, int[] starts, int[] domains) {
    this.tokens = tokens;
    this.tokenizer = tokenizer;
    this.starts = starts;
    this.domains = domains;
  }

  /** The number of tokens, the end-of-text tokens included. */
  public int size() {
    return tokens.size();
  }

  /** The number of documents. */
  public int documents() {
    return domains.length;
  }

  /** The token at {@code index}. */
  public int token(int index) {
    return tokens.at(index);
  }

  /** The domain of the token at {@code index}, or {@link #NO_DOMAIN}. */
  public int domain(int index) {
    int document = documentAt(index);
    return document < 0 || index == starts[document + 1] - 1 ? NO_DOMAIN : domains[document];
  }

  /**
   * Copies tokens and the ones behind them: {@code inputs[at + i]} is token {@code from + i}, its
   * target token {@code from + i + 1}, for {@code length} of them.
   */
  void window(int from, int length, Batch batch, int at) {
    int document = documentAt(from);
    for (int i = 0; i < length; i++) {
      int index = from + i;
      if (document + 1 < starts.length - 1 && index >= starts[document + 1]) {
        document++;
      }
      boolean end = document < 0 || index == starts[document + 1] - 1;
      batch.inputs()[at + i] = tokens.at(index);
      batch.targets()[at + i] = tokens.at(index + 1);
      batch.domains()[at + i] = end ? NO_DOMAIN : domains[document];
      batch.texts()[at + i] = document + (end ? 1L : 0L);
    }
  }

  /** How often each of {@code vocab} ids and of {@code domains} domains occurs. */
  public CorpusCounts counts(int vocab, int domains) {
    long[] ids = new long[vocab];
    for (int i = 0; i < size(); i++) {
      ids[token(i)]++;
    }
    long[] labelled = new long[domains];
    for (int d = 0; d < documents(); d++) {
      if (this.domains[d] != NO_DOMAIN) {
        labelled[this.domains[d]] += starts[d + 1] - 1L - starts[d];
      }
    }
    return new CorpusCounts(ids, labelled);
  }

  /** Hands out the UTF-8 bytes (0 to 255) of tokens [from, to), {@link #END} for end-of-text. */
  void bytes(int from, int to, IntConsumer sink) {
    int endOfText = tokenizer.endOfText();
    for (int i = from; i < to; i++) {
      int token = tokens.at(i);
      if (token == endOfText) {
        sink.accept(END);
      } else {
        for (byte b : tokenizer.textBytes(token)) {
          sink.accept(b & 0xFF);
        }
      }
    }
  }

  int byteLength(int index) {
    return tokenizer.byteLength(tokens.at(index));
  }

  int endOfText() {
    return tokenizer.endOfText();
  }

  /** The document of the token at {@code index}; -1 for the first end-of-text. */
  private int documentAt(int index) {
    int found = Arrays.binarySearch(starts, index);
    return Math.min(found >= 0 ? found : -found - 2, domains.length - 1);
  }
}
