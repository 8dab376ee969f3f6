package org.moe4j.train.data;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.moe4j.tensor.MoeException;

/** Encodes documents in chunks on several threads and puts them together in their order. */
final class DatasetBuilder implements AutoCloseable {
  private static final int CHUNK_CHARS = 1 << 18;
  private static final int MOST_TOKENS = Integer.MAX_VALUE - 1024;

  /** A document's tokens are [start, end) of all; {@code domain} is the name or empty. */
  private record Entry(long hash, String domain, int start, int end) {}

  private static final class Encoded {
    private final long hash;
    private final String domain;
    private final int[] ids;

    private Encoded(long hash, String domain, int[] ids) {
      this.hash = hash;
      this.domain = domain;
      this.ids = ids;
    }
  }

  private final BpeTokenizer tokenizer;
  private final DocumentSplit split;
  private final ExecutorService pool;
  private final int mostInFlight;
  private final ArrayDeque<Future<List<Encoded>>> inFlight = new ArrayDeque<>();
  private final TokenArray tokens;
  private final List<Entry> entries = new ArrayList<>();
  private final Map<String, String> domainNames = new HashMap<>();
  private List<Document> chunk = new ArrayList<>();
  private long chunkChars;

  DatasetBuilder(BpeTokenizer tokenizer, DocumentSplit split, int threads) {
    this.tokenizer = tokenizer;
    this.split = split;
    this.pool = Executors.newFixedThreadPool(threads, Thread.ofPlatform().daemon().factory());
    this.mostInFlight = 2 * threads;
    this.tokens = TokenArray.of(tokenizer.vocabSize(), 1 << 16);
  }

  void add(Document document) {
    chunk.add(document);
    chunkChars += document.text().length();
    if (chunkChars >= CHUNK_CHARS) {
      submit();
    }
  }

  private void submit() {
    List<Document> documents = chunk;
    chunk = new ArrayList<>();
    chunkChars = 0;
    inFlight.add(pool.submit(() -> encode(documents)));
    if (inFlight.size() > mostInFlight) {
      append(inFlight.remove());
    }
  }

  private List<Encoded> encode(List<Document> documents) {
    List<Encoded> encoded = new ArrayList<>(documents.size());
    for (Document document : documents) {
      encoded.add(
          new Encoded(
              split.hash(document.text()),
              document.domain().orElse(""),
              tokenizer.encodeOrdinary(document.text())));
    }
    return encoded;
  }

  private void append(Future<List<Encoded>> future) {
    for (Encoded document : result(future)) {
      int start = tokens.size();
      if ((long) start + document.ids.length + entries.size() > MOST_TOKENS) {
        throw new MoeException(
            "the corpus has more than two billion tokens; name fewer files or sample them by SQL");
      }
      for (int id : document.ids) {
        tokens.add(id);
      }
      String domain = domainNames.computeIfAbsent(document.domain, name -> name);
      entries.add(new Entry(document.hash, domain, start, tokens.size()));
    }
  }

  private static List<Encoded> result(Future<List<Encoded>> future) {
    try {
      return future.get();
    } catch (ExecutionException e) {
      throw new IllegalStateException("a document could not be encoded", e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new MoeException("interrupted while the corpus was encoded; start again", e);
    }
  }

  TokenDataset build(String description, SourceReport report) {
    submit();
    while (!inFlight.isEmpty()) {
      append(inFlight.remove());
    }
    if (entries.size() < 2) {
      throw new MoeException(
          description
              + ": one document alone cannot be split into training and validation;"
              + " split the text by blank lines or name more files");
    }
    entries.sort(Comparator.comparingLong(Entry::hash).thenComparing(Entry::domain));
    List<Entry> training = new ArrayList<>();
    List<Entry> validation = new ArrayList<>();
    for (Entry entry : entries) {
      (split.validates(entry.hash) ? validation : training).add(entry);
    }
    // A small corpus may fall on one side altogether.
    if (validation.isEmpty()) {
      validation.add(training.removeLast());
    } else if (training.isEmpty()) {
      training.add(validation.removeLast());
    }
    List<String> domains =
        domainNames.keySet().stream().filter(name -> !name.isEmpty()).sorted().toList();
    TokenStream train = stream(training, domains);
    TokenStream held = stream(validation, domains);
    return new TokenDataset(train, held, domains, report, fingerprint(train, held));
  }

  private TokenStream stream(List<Entry> documents, List<String> domains) {
    long size = 1;
    for (Entry entry : documents) {
      size += entry.end - entry.start + 1;
    }
    Map<String, Integer> ids = new HashMap<>();
    domains.forEach(name -> ids.put(name, ids.size()));
    TokenArray packed = TokenArray.of(tokenizer.vocabSize(), Math.toIntExact(size));
    int[] starts = new int[documents.size() + 1];
    int[] domainOf = new int[documents.size()];
    int endOfText = tokenizer.endOfText();
    packed.add(endOfText);
    for (int d = 0; d < domainOf.length; d++) {
      Entry entry = documents.get(d);
      starts[d] = packed.size();
      domainOf[d] = ids.getOrDefault(entry.domain, TokenStream.NO_DOMAIN);
      packed.addAll(tokens, entry.start, entry.end);
      packed.add(endOfText);
    }
    starts[domainOf.length] = packed.size();
    return new TokenStream(packed, tokenizer, starts, domainOf);
  }

  private static long fingerprint(TokenStream... streams) {
    long hash = 0;
    for (TokenStream stream : streams) {
      for (int i = 0; i < stream.size(); i++) {
        hash = (hash ^ stream.token(i)) * 0xD6E8FEB86659FD93L;
        hash ^= hash >>> 32;
      }
      hash = SplitMix64.mix(hash + stream.size());
    }
    return hash;
  }

  @Override
  public void close() {
    pool.shutdownNow();
  }
}
