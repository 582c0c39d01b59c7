/** Does `work` for each number below `size`, `width` at a time. @throws the first failure; nothing new is begun after it */
export async function each(size: number, width: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < size) {
      const index = next++;
      await work(index).catch((error: unknown) => {
        next = size;
        throw error;
      });
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, size) }, worker));
}
