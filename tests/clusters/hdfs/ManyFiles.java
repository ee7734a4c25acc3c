import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/** Makes many empty files: ManyFiles FOLDER COUNT. */
public class ManyFiles {
  public static void main(String[] args) throws Exception {
    Configuration conf = new Configuration();
    conf.addResource("hdfs-site.xml");
    FileSystem hdfs = FileSystem.get(conf);
    AtomicReference<Exception> failure = new AtomicReference<>();
    // Many at a time: the NameNode writes what has gathered to its disk together.
    ExecutorService threads = Executors.newFixedThreadPool(64);
    for (int i = 0; i < Integer.parseInt(args[1]); i++) {
      Path path = new Path(args[0], String.format("snap_%06d", i));
      threads.execute(() -> {
        try {
          hdfs.create(path).close();
        } catch (Exception e) {
          failure.set(e);
        }
      });
    }
    threads.shutdown();
    threads.awaitTermination(1, TimeUnit.HOURS);
    if (failure.get() != null) {
      throw failure.get();
    }
  }
}
