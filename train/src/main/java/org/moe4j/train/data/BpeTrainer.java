package org.moe4j.train.data;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.moe4j.tensor.MoeException;

/**
 * Learns a byte-level BPE vocabulary (Sennrich, Haddow and Birch, "Neural Machine Translation of
 * Rare Words with Subword Units", ACL 2016; on bytes as in GPT-2): beginning with the 256 bytes,
 * the most frequent pair of neighbours within a pre-token becomes a token, again and again. Ties go
 * to the pair with the smaller ids. The result does not depend on the order of the texts.
 *
 * <p>Ids: the 256 bytes (in the order of GPT-2's alphabet), the merges in the order they were
 * learnt, last the end-of-text token {@code <|endoftext|>}.
 */
public final class BpeTrainer {
  /** A pair that occurs less often than this is not merged. */
  private static final int MINIMUM_COUNT = 2;

  /** A longer pre-token (no white space for a thousand characters) is counted in pieces. */
  private static final int LONGEST_PIECE = 1000;

  private static final class Count {
    private long value;
  }

  private final int vocabSize;
  private final Map<String, Count> pieces = new HashMap<>();

  /**
   * A trainer for at most {@code vocabSize} tokens, the 256 bytes and the end-of-text token
   * included. The vocabulary stays smaller when the text has fewer pairs that occur twice.
   */
  public BpeTrainer(int vocabSize) {
    if (vocabSize < 257 || vocabSize > 1 << 20) {
      throw new MoeException(
          "vocabulary size %d: choose between 257 (bytes alone) and %d"
              .formatted(vocabSize, 1 << 20));
    }
    this.vocabSize = vocabSize;
  }

  /** Trains on the documents of {@code source} that {@code split} gives to training. */
  public static BpeTokenizer train(TextSource source, DocumentSplit split, int vocabSize) {
    BpeTrainer trainer = new BpeTrainer(vocabSize);
    source.read(
        document -> {
          if (!split.validates(document.text())) {
            trainer.add(document.text());
          }
        });
    return trainer.train();
  }

  /** Counts the pre-tokens of {@code text}. */
  public void add(String text) {
    PreTokenizer.split(text, 0, text.length(), (start, end) -> count(text, start, end));
  }

  private void count(String text, int start, int end) {
    int at = start;
    while (at < end) {
      int stop = Math.min(end, at + LONGEST_PIECE);
      if (stop < end && Character.isLowSurrogate(text.charAt(stop))) {
        stop--;
      }
      pieces.computeIfAbsent(text.substring(at, stop), piece -> new Count()).value++;
      at = stop;
    }
  }

  /** The vocabulary of all texts added so far. */
  public BpeTokenizer train() {
    List<String> sorted = new ArrayList<>(pieces.keySet());
    sorted.sort(null);
    int[][] words = new int[sorted.size()][];
    long[] counts = new long[words.length];
    for (int w = 0; w < words.length; w++) {
      String piece = sorted.get(w);
      byte[] bytes = ByteAlphabet.utf8(piece, 0, piece.length());
      words[w] = new int[bytes.length];
      Arrays.setAll(words[w], i -> ByteAlphabet.rankOf(bytes[i]));
      counts[w] = pieces.get(piece).value;
    }
    List<byte[]> tokens = new ArrayList<>(vocabSize);
    for (int rank = 0; rank < 256; rank++) {
      tokens.add(new byte[] {ByteAlphabet.byteOfRank(rank)});
    }
    List<Merge> merges = new PairMerger(words, counts).learn(tokens, vocabSize - 1, MINIMUM_COUNT);
    AddedToken endOfText = new AddedToken(tokens.size(), BpeTokenizer.END_OF_TEXT, true);
    tokens.add(endOfText.utf8());
    return new BpeTokenizer(tokens, merges, List.of(endOfText));
  }
}
