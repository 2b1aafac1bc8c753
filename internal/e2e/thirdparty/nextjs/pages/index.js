export default function Home() {
  return <h1>A service of the NHS</h1>
}
